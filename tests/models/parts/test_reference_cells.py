"""Reference cells: which are kept, with which counts, and which are nearest to a cell."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.reference_cells import ReferenceCells, weights_of


@pytest.fixture(scope="module")
def counts():
    return np.random.default_rng(0).poisson(np.random.default_rng(1).gamma(1, 2, (80, 15))).astype(np.float32) + 1


@pytest.fixture(scope="module")
def source(counts):
    return open_data(AnnData(sparse.csr_matrix(counts)))


def learnt(source, rows, at_most=1000):
    references = ReferenceCells(source.schema, n_latent=5, transform="log_normalise", at_most=at_most)
    references.learn(source, rows, np.random.default_rng(0))
    return references


def test_counts_of_the_rows_are_kept_as_they_are(source, counts):
    rows = np.arange(10, 60)
    assert np.array_equal(learnt(source, rows).counts.toarray(), counts[rows])


def test_of_too_many_a_sample_is_kept_while_components_come_from_all(source):
    every, some = learnt(source, np.arange(80)), learnt(source, np.arange(80), at_most=30)
    assert some.n_references == 30
    assert torch.equal(every.components.components, some.components.components)


def test_neighbours_are_scikit_learns_without_the_cell_itself(source):
    references = learnt(source, np.arange(80))
    (minibatch,) = in_order(source, None, 80)
    index, distance = references.neighbours(minibatch, 6)
    latent = references.kept.latent.numpy()
    reference_distance, reference_index = NearestNeighbors(n_neighbors=6).fit(latent).kneighbors()
    assert np.array_equal(np.sort(index.numpy(), axis=1), np.sort(reference_index, axis=1))
    np.testing.assert_allclose(distance.numpy(), reference_distance, rtol=1e-3)


def test_weights_stand_at_the_neighbours_that_are_there():
    index, weight = torch.tensor([[2, 0], [1, -1]]), torch.tensor([[0.5, 2.0], [3.0, 9.0]])
    assert weights_of(index, weight, 3).toarray().tolist() == [[2.0, 0.0, 0.5], [0.0, 3.0, 0.0]]
