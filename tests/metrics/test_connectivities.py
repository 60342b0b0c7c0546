"""Connectivities: memberships sum to what UMAP asks for; an edge holds where either cell has it."""

import numpy as np
import pytest

from cellwright.metrics.connectivities import connectivities
from cellwright.metrics.neighbours import Neighbours


def test_memberships_of_a_cell_sum_to_the_logarithm_of_how_many_its_neighbours_and_itself_are():
    indices = np.array([[1, 2, 3], [2, 3, 4], [3, 4, 1], [4, 1, 2], [1, 2, 3]])  # nobody's neighbour is cell 0
    distances = np.array([[1.0, 2.0, 4.0], *np.ones((4, 3))])
    graph = connectivities(Neighbours(indices, distances)).toarray()  # so its edges are its own memberships
    assert graph[0, 1] == 1  # the nearest one
    assert graph[0].sum() == pytest.approx(np.log2(4))
    assert np.array_equal(graph, graph.T)


def test_an_edge_that_both_cells_have_is_one_or_the_other():
    """Of two neighbours the farther one has membership log2(3) - 1 = .585; both ways, a + b - a b = .828."""
    indices = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])  # a square: 0 - 1 - 3 - 2, whose sides 0 2 and 1 3 are longer
    graph = connectivities(Neighbours(indices, np.tile([1.0, 2.0], (4, 1)))).toarray()
    farther = np.log2(3) - 1
    assert graph[0, 2] == pytest.approx(2 * farther - farther**2)
    assert graph[0, 1] == 1
    assert graph[0, 3] == 0


def test_cells_that_coincide_belong_together_wholly():
    indices = np.array([[1, 2], [0, 2], [0, 1]])
    graph = connectivities(Neighbours(indices, np.zeros((3, 2)))).toarray()
    assert np.array_equal(graph, 1 - np.eye(3))
