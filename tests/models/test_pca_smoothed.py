"""PCA of smoothed values equals scikit-learn's PCA of values that were smoothed as a dense matrix."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA as Reference

from cellwright.data.open import open_data
from cellwright.data.place_graph import PlaceGraphOptions, place_graph
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.models import build


@pytest.fixture(scope="module")
def adata():
    cells = simulate(SimulateOptions(n_obs=200, n_vars=60, n_batch=2), seed=0).adata
    cells.obsm["spatial"] = np.random.default_rng(0).random((200, 2))
    return cells


@pytest.fixture(scope="module")
def data(adata):
    return open_data(adata, batch_key="batch", coordinates_key="spatial")


def learnt(data, **options):
    model = build("pca_smoothed", data.schema, **{"n_latent": 4, **options}).eval()
    model.learn(data, np.arange(data.n_obs), np.random.default_rng(0))
    model.fitted = True
    return model


def latent(model, data):
    return model.encode(next(in_order(data))).numpy()


def smoothed_by_hand(adata, data, n_neighbors, n_times):
    counts = adata.X.toarray().astype(np.float64)
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    spread = logs.std(axis=0)
    values = np.clip((logs - logs.mean(axis=0)) / np.where(spread > 0, spread, 1), -10, 10)
    graph = place_graph(adata.obsm["spatial"], data.annotation.batch, PlaceGraphOptions(n_neighbors=n_neighbors))
    weights = (graph.toarray() + np.eye(200)) / (n_neighbors + 1)
    return np.linalg.matrix_power(weights, n_times) @ values


@pytest.mark.parametrize(("n_neighbors", "n_times"), [(5, 1), (12, 3)])
def test_equals_scikit_learn_on_values_smoothed_by_hand(adata, data, n_neighbors, n_times):
    found = latent(learnt(data, n_neighbors=n_neighbors, n_times=n_times), data)
    expected = Reference(4, svd_solver="full").fit_transform(smoothed_by_hand(adata, data, n_neighbors, n_times))
    found = found - found.mean(axis=0)
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=2e-3 * np.abs(expected).max())


def test_without_coordinates_it_is_refused_in_a_sentence(adata):
    with pytest.raises(DataError, match=r"must have the places of cells.*coordinates_key"):
        build("pca_smoothed", open_data(adata).schema)


def test_new_cells_of_a_known_section_are_encoded_and_those_of_another_refused(adata, data):
    model = learnt(data)
    known = open_data(adata[:5].copy(), schema=data.schema)
    np.testing.assert_allclose(latent(model, known), latent(model, data)[:5], atol=1e-4)
    other = adata[:5].copy()
    other.obs["batch"] = "elsewhere"
    with pytest.raises(DataError, match="5 cells must lie in a section that was trained on"):
        latent(model, open_data(other, schema=data.schema))


def test_cells_at_one_place_and_a_section_of_one_cell_are_encoded(adata):
    cells = adata.copy()
    cells.obsm["spatial"][:50] = 0.5
    cells.obs["batch"] = pd.Categorical(["alone", *["others"] * 199])
    data = open_data(cells, batch_key="batch", coordinates_key="spatial")
    model = learnt(data)
    assert np.isfinite(latent(model, data)).all()
    # it hears nobody, so it is what it is without space
    np.testing.assert_allclose(latent(model, data)[0], model.pca.encode(next(in_order(data))).numpy()[0], atol=1e-4)


def test_at_most_so_many_references_are_kept(data):
    assert len(learnt(data, max_references=50).smoother.references.section) == 50


def test_fewer_training_cells_than_components_are_refused(data):
    with pytest.raises(DataError, match="must have more training cells"):
        learnt(data, n_latent=60).learn(data, np.arange(20), np.random.default_rng(0))
