"""Harmony joins planted batches, places new cells without changing what was there, and needs to be told the batch."""

import numpy as np
import pytest

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError
from cellwright.models import build
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=500, n_vars=60, n_latent=3, n_batch=2, label_shares=(0.5, 0.3, 0.2))
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch")


def fitted(data, name="harmony", **options):
    model = build(name, data.schema, n_latent=8, **options)
    fit(model, data, FitOptions(validation=0.2), progress=False)
    return model


def told_by_neighbours(latent, batch, k=15):
    """How often one of the nearest cells is of the same batch."""
    distances = ((latent[:, None] - latent) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return (batch[np.argsort(distances, axis=1)[:, :k]] == batch[:, None]).mean()


def test_planted_batches_overlap_afterwards_and_did_not_before(cells, data):
    batch = cells.obs["batch"].to_numpy()
    before = told_by_neighbours(reduce(fitted(data, "pca"), data).obsm["X_pca"], batch)
    after = told_by_neighbours(reduce(fitted(data), data).obsm["X_harmony"], batch)
    assert before > 0.6
    assert after < 0.55  # half of the cells are of the same batch


def test_the_components_are_those_of_pca(data):
    harmony = fitted(data)
    alone = PCA(data.schema, PCAOptions(n_latent=8))
    rows = harmony_rows(data)
    alone.learn(data, rows, np.random.default_rng(0))
    np.testing.assert_array_equal(harmony.components.components, alone.components)


def harmony_rows(data):
    model = build("pca", data.schema, n_latent=8)
    seen = []
    model.learn = lambda source, rows, rng: seen.append(rows)
    fit(model, data, FitOptions(validation=0.2), progress=False)
    return seen[0]


def test_new_cells_with_their_genes_in_another_order_are_placed_the_same(cells, data):
    model = fitted(data)
    there = reduce(model, data).obsm["X_harmony"]
    shuffled = cells[::-1, np.random.default_rng(0).permutation(cells.n_vars)].copy()
    np.testing.assert_allclose(reduce(model, shuffled).obsm["X_harmony"][::-1], there, atol=1e-4)


def test_a_batch_that_it_does_not_know_is_placed_and_moves_no_other(cells, data):
    model = fitted(data)
    new = cells[:50].copy()
    new.obs["batch"] = ["another"] * 25 + new.obs["batch"].astype(str).tolist()[25:]
    placed = reduce(model, new).obsm["X_harmony"]
    assert np.isfinite(placed).all()
    np.testing.assert_allclose(placed[25:], reduce(model, data).obsm["X_harmony"][25:50], atol=1e-5)


def test_a_single_batch_is_refused_with_what_to_do(cells):
    data = open_data(cells)
    with pytest.raises(DataError, match="batch_key"):
        fitted(data)
