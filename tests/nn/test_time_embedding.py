"""Times become waves."""

import torch

from cellwright.nn.time_embedding import LARGEST_FREQUENCY, time_embedding


def test_columns_are_waves_from_the_longest_to_the_shortest():
    t = torch.tensor([0.0, 0.25, 1.0])
    embedded = time_embedding(t, 8)
    torch.testing.assert_close(embedded[:, 0], t.sin())
    torch.testing.assert_close(embedded[:, 7], (LARGEST_FREQUENCY * t).cos())
    # each pair lies on a circle
    torch.testing.assert_close(embedded[:, :4].square() + embedded[:, 4:].square(), torch.ones(3, 4))
