"""Training means are those of the cells themselves, in blocks, from disk, and of the training rows only."""

import numpy as np
import pytest

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models.parts import training_means as module
from cellwright.models.parts.training_means import training_means

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}
ROWS = np.arange(0, 200, 3)


@pytest.fixture(scope="module")
def cells():
    cells = simulate(SimulateOptions(n_obs=200, n_vars=12, n_latent=2, treated_share=0.5), seed=0).adata
    cells.obs.loc[cells.obs_names[::11], "label"] = None
    return cells


@pytest.mark.parametrize("scale", ["log_normalise", "none"])
def test_means_are_those_of_the_training_cells_on_the_scale(cells, scale, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 17)
    data = open_data(cells, **KEYS)
    means = training_means(data, ROWS, scale)
    values = cells.X.toarray().astype(np.float64)
    if scale == "log_normalise":
        values = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    label, condition = data.annotation.label[ROWS], data.annotation.condition[ROWS]
    for a in range(3):
        for b in range(2):
            of = ROWS[(label == a) & (condition == b)]
            np.testing.assert_allclose(means.mean[a, b], values[of].mean(axis=0), rtol=1e-5)
            np.testing.assert_allclose(means.variance[a, b], values[of].var(axis=0), rtol=1e-4, atol=1e-6)
            assert means.weight[a, b] == len(of)
    assert means.weight.sum() == (label >= 0).sum() < len(ROWS)


def test_disk_gives_what_memory_gives(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    here, there = (
        training_means(open_data(source, **KEYS), ROWS, "log_normalise") for source in (cells, tmp_path / "cells.h5ad")
    )
    streamed = training_means(open_data(tmp_path / "cells.h5ad", in_memory=False, **KEYS), ROWS, "log_normalise")
    assert np.array_equal(here.mean, streamed.mean)
    assert np.array_equal(here.mean, there.mean)
