"""Moments leave out what was not measured, whatever the blocks."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.models.parts import moments as module
from cellwright.models.parts.moments import filled, moments, support_with_gaps


@pytest.mark.parametrize("block_rows", [1024, 7])
def test_means_and_variances_are_those_of_what_was_measured(block_rows, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", block_rows)
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (50, 6)).astype("f4")
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 5] = np.nan
    adata = AnnData(X=values)
    adata.var["time"] = np.arange(6)
    source, rows = open_data(adata, step_key="time"), np.arange(10, 40)
    mean, variance = moments(source, rows, lambda minibatch: minibatch.x.dense(), torch.device("cpu"))
    np.testing.assert_allclose(mean[:5], np.nanmean(values[rows, :5].astype(float), axis=0), rtol=1e-10)
    np.testing.assert_allclose(variance[:5], np.nanvar(values[rows, :5].astype(float), axis=0), rtol=1e-9)
    assert (mean[5], variance[5]) == (0, 0)


def test_gaps_are_filled_with_the_mean_of_their_feature():
    values = torch.tensor([[1.0, torch.nan], [torch.nan, 4.0]])
    assert filled(values, torch.tensor([7.0, 8.0])).tolist() == [[1.0, 8.0], [7.0, 4.0]]


def test_only_sequences_have_gaps():
    cells = AnnData(X=np.ones((3, 2), dtype="f4"))
    cells.var["time"] = [0, 1]
    plain, steps = open_data(cells).schema, open_data(cells, step_key="time").schema
    assert support_with_gaps("none", steps) is Support.missing
    assert support_with_gaps("none", plain) is Support.real
    assert support_with_gaps("log_normalise", steps) is Support.non_negative
