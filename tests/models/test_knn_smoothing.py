"""Smoothing over neighbours against its formula on neighbours of scikit-learn; what is chosen; new cells."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.models.knn_smoothing import N_NEIGHBORS, OWN_WEIGHTS
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells


@pytest.fixture(scope="module")
def source():
    return open_data(simulate(SimulateOptions(n_obs=200, n_vars=40, n_latent=3), seed=0).adata)


def fitted(source, split=None, **options):
    model = build("knn_smoothing", source.schema, n_latent=5, **options)
    fit(model, source, split=split or random_split(source.n_obs, validation=0), progress=False)
    return model


def imputed(model, source, rows=None):
    return over_cells(lambda m: model.impute(m, torch.Generator().manual_seed(0)), source, rows)


@pytest.mark.parametrize(("k", "own", "mixed"), [(1, 0.0, 0.0), (7, 2.0, 0.1), (60, 0.5, 0.02)])
def test_expected_counts_are_the_weighted_mean_of_cell_and_neighbours(source, k, own, mixed):
    model = fitted(source, n_neighbors=k, own_weight=own, mean_share=mixed)
    counts = source.read("X", np.arange(200)).toarray()
    latent = over_cells(model.near.references.components.encode, source)
    index = NearestNeighbors(n_neighbors=k).fit(latent).kneighbors(return_distance=False)  # without the cell itself
    total = counts[index].sum(axis=1) + own * counts
    of_all = (counts.sum(axis=0) + 0.5) / (counts.sum(axis=0) + 0.5).sum()
    share = (1 - mixed) * total / total.sum(axis=1, keepdims=True) + mixed * of_all
    np.testing.assert_allclose(imputed(model, source), counts.sum(axis=1, keepdims=True) * share, rtol=2e-4, atol=1e-5)


def test_a_cell_that_was_not_trained_on_is_smoothed_over_training_cells_only(source):
    split = random_split(200, validation=0, test=0.3, seed=1)
    model = fitted(source, split, n_neighbors=5, own_weight=0.0, mean_share=0.0)
    counts = source.read("X", np.arange(200)).toarray()
    latent = over_cells(model.near.references.components.encode, source)
    index = NearestNeighbors(n_neighbors=5).fit(latent[split.train]).kneighbors(latent[split.test], 5)[1]
    total = counts[split.train][index].sum(axis=1)
    expected = counts[split.test].sum(axis=1, keepdims=True) * total / total.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(imputed(model, source, split.test), expected, rtol=2e-4, atol=1e-5)


def test_what_is_not_given_is_chosen_and_saved_with_the_weights(source):
    model = fitted(source)
    assert int(model.n_neighbors) in N_NEIGHBORS
    assert float(model.own_weight) in OWN_WEIGHTS
    assert {"n_neighbors", "own_weight"} <= set(model.state_dict())


def test_many_neighbours_are_chosen_where_cells_are_alike_and_few_where_they_are_not():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(60), 15)  # of fifteen kinds of twenty cells each
    alike = rng.poisson(80 * shares[[0] * 300]).astype(np.float32)
    kinds = rng.poisson(2000 * shares[np.arange(300) % 15]).astype(np.float32)
    chosen = [int(fitted(open_data(AnnData(counts)), own_weight=1.0).n_neighbors) for counts in (alike, kinds)]
    assert chosen[0] == max(N_NEIGHBORS)
    assert chosen[1] <= 20


def test_a_cell_without_neighbours_is_the_mean_of_all_and_one_without_molecules_is_empty():
    """Three cells that are the same have no neighbour: each is taken for the others."""
    source = open_data(AnnData(np.full((3, 2), [3.0, 1.0], np.float32)))
    model = build("knn_smoothing", source.schema, n_latent=1, n_neighbors=2, own_weight=0.0, mean_share=0.0)
    fit(model, source, split=random_split(3, validation=0), progress=False)
    minibatch = next(iter(in_order(open_data(AnnData(np.array([[3.0, 1.0], [0.0, 0.0]], np.float32))))))
    assert (model.near.references.neighbours(minibatch, 2)[0][0] == -1).all()
    of_all = 4 * np.array([9.5, 3.5]) / 13
    found = model.impute(minibatch, torch.Generator())
    np.testing.assert_allclose(found.numpy(), [of_all, [0, 0]], rtol=1e-6)
