"""Neighbours in principal components are those of scikit-learn in scikit-learn's components."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from cellwright.data.component_neighbours import ComponentNeighbours


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("n_vars", [15, 70], ids=["fewer features than components", "more"])
def test_neighbours_are_found_in_the_components(form, n_vars):
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, (90, n_vars)) * rng.random((90, n_vars))  # no two distances are equal
    found = clone(ComponentNeighbours(n_neighbours=4)).fit(form(values))
    places = PCA(min(20, n_vars), svd_solver="full").fit_transform(values)
    expected = NearestNeighbors(n_neighbors=4).fit(places).kneighbors(places, return_distance=False)
    np.testing.assert_array_equal(found.kneighbors(form(values)), expected)
    graph = found.kneighbors_graph(form(values)).toarray()
    assert all(set(np.flatnonzero(row)) == set(near) for row, near in zip(graph, expected, strict=True))
