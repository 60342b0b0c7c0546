"""Geodesic pseudotime: shortest paths in closed form, the mean over roots, what nothing reaches."""

import networkx
import numpy as np
import pytest

from cellwright.dynamics.geodesic import geodesic, to_unit


def test_on_a_path_it_is_the_sum_of_the_edges(path):
    edges = np.array([1.0, 3, 2, 0.5])
    expected = np.concatenate([[0], np.cumsum(edges)]) / edges.sum()
    np.testing.assert_allclose(geodesic(path(edges), np.array([0])), expected)
    np.testing.assert_allclose(geodesic(path(edges), np.array([4])), 1 - expected)


def test_it_is_the_mean_of_the_shortest_paths_from_the_roots(graph_of):
    graph = graph_of(np.random.default_rng(0).normal(size=(30, 2)), 5).lengths
    ways = networkx.from_scipy_sparse_array(graph)
    roots = np.array([3, 8, 20])
    found = [networkx.single_source_dijkstra_path_length(ways, int(root)) for root in roots]
    mean = np.array([np.mean([of[cell] for of in found]) for cell in range(30)])
    np.testing.assert_allclose(geodesic(graph, roots), (mean - mean.min()) / np.ptp(mean))


def test_what_no_path_reaches_is_infinite_and_the_rest_is_in_the_unit_interval(graph_of):
    line = np.concatenate([np.arange(8.0), 100 + np.arange(5)])[:, None]
    found = geodesic(graph_of(line, 2).lengths, np.array([0]))
    np.testing.assert_allclose(found[:8], np.arange(8) / 7)
    assert np.isinf(found[8:]).all()


def test_roots_in_two_parts_reach_both(graph_of):
    line = np.concatenate([np.arange(8.0), 100 + np.arange(5)])[:, None]
    np.testing.assert_allclose(geodesic(graph_of(line, 2).lengths, np.array([0, 8]))[8:], np.arange(5) / 7)


def test_the_order_of_cells_does_not_matter(graph_of):
    latent = np.random.default_rng(0).normal(size=(30, 2))
    order = np.random.default_rng(1).permutation(30)
    root = int(np.flatnonzero(order == 3)[0])
    expected = geodesic(graph_of(latent, 5).lengths, np.array([3]))[order]
    np.testing.assert_allclose(geodesic(graph_of(latent[order], 5).lengths, np.array([root])), expected)


def test_identical_cells_have_one_pseudotime(graph_of):
    latent = np.zeros((20, 2))
    assert (geodesic(graph_of(latent, 19).lengths, np.array([0])) == 0).all()
    chain = graph_of(latent, 2).lengths  # of many edges each of which is just no zero
    found = geodesic(chain, np.array([0]))
    assert (found[np.isfinite(found)] == 0).all()


@pytest.mark.parametrize("values", [[5.0], [2.0, 2.0, np.inf]], ids=["one", "equal"])
def test_equal_values_become_zero(values):
    found = to_unit(np.array(values))
    assert (found[np.isfinite(values)] == 0).all()
    assert np.isinf(found[np.isinf(values)]).all()
