"""Centred log ratios against their definition."""

import numpy as np
import torch

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.log_ratios import LogRatios


def test_values_are_logarithms_relative_to_the_cells_own_mean(unpaired):
    data = open_data(unpaired(20, 30).data, modality="protein")
    counts = next(in_order(data, np.arange(30))).x.dense()
    found = next(in_order(LogRatios(data), np.arange(30)))
    logs = torch.log1p(counts)
    torch.testing.assert_close(found.x.dense(), logs - logs.mean(dim=1, keepdim=True))
    torch.testing.assert_close(found.x.sum_rows(), torch.zeros(30), atol=1e-4, rtol=0)


def test_the_source_is_otherwise_the_one_that_it_wraps(unpaired):
    data = open_data(unpaired(20, 30).data)
    ratios = LogRatios(data.of("rna"))
    assert (ratios.n_obs, ratios.schema.modalities) == (50, ("rna",))
    np.testing.assert_array_equal(ratios.measured("rna"), data.measured("rna"))
