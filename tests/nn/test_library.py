"""Means at a library have its total, and a row of zeros stays one."""

import torch

from cellwright.nn.library import at_library


def test_rows_get_the_total_of_their_library_and_keep_their_proportions():
    means = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    found = at_library(means, torch.tensor([[8.0], [5.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 6.0], [0.0, 0.0]]))
