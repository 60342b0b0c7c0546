"""The cell graph: lengths and affinities as they are defined, its parts, its bridges and its skeleton."""

import networkx
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from cellwright.dynamics.cell_graph import CellGraph, bridged, reconnected, skeleton, smoothed
from cellwright.errors import DataError


@pytest.fixture(scope="module")
def latent():
    return np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture
def graph(latent, graph_of):
    return graph_of(latent, 6)


@pytest.fixture(scope="module")
def islands():
    """Three groups on a line, of 12, 8 and 5 cells."""
    rng = np.random.default_rng(0)
    return np.concatenate([centre + rng.random((n, 2)) for centre, n in ((0, 12), (30, 8), (50, 5))])


def test_lengths_are_the_distances_between_neighbours_either_way(graph, latent):
    dense = graph.lengths.toarray()
    for cell in range(len(latent)):
        for other in range(len(latent)):
            joined = other in graph.indices[cell] or cell in graph.indices[other]
            expected = np.linalg.norm(latent[cell] - latent[other]) if joined else 0
            assert dense[cell, other] == pytest.approx(expected)


def test_affinities_fall_with_the_distance_in_units_of_the_neighbour_at_a_third(graph):
    scale = graph.distances[:, 1]  # the second of six
    one_way = np.zeros((40, 40))
    for cell in range(40):
        one_way[cell, graph.indices[cell]] = np.exp(-graph.distances[cell] / scale[cell])
    np.testing.assert_allclose(graph.outgoing.toarray(), one_way)
    np.testing.assert_allclose(graph.affinities.toarray(), one_way + one_way.T)


def test_the_scale_of_the_latent_does_not_matter_to_affinities(graph, latent, graph_of):
    np.testing.assert_allclose(graph_of(1e6 * latent, 6).affinities.toarray(), graph.affinities.toarray())


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_scale_does_not_matter_to_a_cell_with_a_third_of_its_neighbours_in_one_place(unit, graph_of):
    """Its own unit is then the distance to the first cell elsewhere; it walked to none of them, or to all alike."""
    latent = np.concatenate([np.zeros((4, 1)), 1.0 + np.arange(6.0)[:, None]])
    outgoing = graph_of(unit * latent, 6).outgoing.toarray()
    np.testing.assert_allclose(outgoing[0, :7], np.exp([-np.inf, 0, 0, 0, -1, -2, -3]), rtol=1e-6)


def test_identical_cells_are_joined_and_as_near_as_can_be(graph_of):
    graph = graph_of(np.zeros((5, 2)), 2)
    assert graph.components.max() <= 1
    assert (graph.lengths.data > 0).all()
    assert (graph.outgoing.data == 1).all()


def test_components_are_numbered_by_size(islands, graph_of):
    order = np.random.default_rng(1).permutation(25)
    found = graph_of(islands[order], 3).components
    assert (found == np.repeat([0, 1, 2], [12, 8, 5])[order]).all()


def test_a_bridge_is_the_shortest_edge_between_two_parts(islands, graph_of):
    graph = graph_of(islands, 3)
    added = (bridged(graph, islands) - graph.lengths).tocoo()
    apart = np.linalg.norm(islands[:, None] - islands, axis=2)
    shortest = sorted([apart[:12, 12:20].min(), apart[12:20, 20:].min()])
    np.testing.assert_allclose(np.unique(added.data.round(9)), np.round(shortest, 9))
    assert csgraph.connected_components(bridged(graph, islands), directed=False)[0] == 1


def test_a_connected_graph_needs_no_bridge(graph, latent):
    assert graph.components.max() == 0
    assert (bridged(graph, latent) != graph.lengths).nnz == 0


def test_the_skeleton_is_what_is_mutual_and_a_shortest_spanning_tree(graph):
    mutual = {(i, j) for i in range(40) for j in graph.indices[i].tolist() if i in graph.indices[j]}
    tree = networkx.minimum_spanning_tree(networkx.from_scipy_sparse_array(graph.lengths))
    expected = mutual | {edge for i, j in tree.edges for edge in ((i, j), (j, i))}
    bones = skeleton(graph, graph.lengths)
    assert set(zip(*bones.nonzero(), strict=True)) == expected
    assert abs(bones - bones.T).max() == 0
    assert abs(bones - graph.lengths.multiply(bones > 0)).max() == 0


def test_smoothing_is_the_lazy_walk_of_the_affinities(graph, latent):
    walk = graph.affinities.toarray()
    walk /= walk.sum(axis=1, keepdims=True)
    once = 0.5 * np.eye(40) + 0.5 * walk
    np.testing.assert_allclose(smoothed(latent, graph, 3), np.linalg.matrix_power(once, 3) @ latent)
    np.testing.assert_array_equal(smoothed(latent, graph, 0), latent)


def test_the_order_of_cells_does_not_matter(graph, latent, graph_of):
    order = np.random.default_rng(2).permutation(40)
    shuffled = graph_of(latent[order], 6)
    for name in ("lengths", "affinities"):
        expected = getattr(graph, name).toarray()[np.ix_(order, order)]
        np.testing.assert_allclose(getattr(shuffled, name).toarray(), expected)
    np.testing.assert_allclose(smoothed(latent[order], shuffled, 2), smoothed(latent, graph, 2)[order])


def test_nothing_that_is_asked_of_a_graph_changes_its_neighbours(graph):
    before = graph.indices.copy(), graph.distances.copy()
    assert sparse.issparse(skeleton(graph, graph.lengths))
    assert graph.affinities.nnz
    np.testing.assert_array_equal(graph.indices, before[0])
    np.testing.assert_array_equal(graph.distances, before[1])


def test_other_numbers_of_distances_are_refused():
    with pytest.raises(DataError, match=r"\(4, 2\) and \(4, 3\)"):
        CellGraph(np.zeros((4, 2), dtype=int), np.zeros((4, 3)))


def test_a_graph_that_smoothing_took_apart_is_joined_by_the_edges_it_had(graph_of):
    rng = np.random.default_rng(1)
    at = np.sort(rng.random(60))
    latent = np.column_stack([at, 0.01 * rng.normal(size=60)])
    before = graph_of(latent, 6)
    assert before.components.max() == 0
    apart = latent + 10.0 * (at > 0.5)[:, None]  # as smoothing would, and more
    after = graph_of(apart, 6)
    assert after.components.max() == 1
    joined = reconnected(after, before, apart)
    assert joined.components.max() == 0
    added = (joined.lengths - after.lengths).tocoo()
    for first, second, length in zip(added.row, added.col, added.data, strict=True):
        assert second in before.indices[first] or first in before.indices[second]
        assert length == pytest.approx(np.linalg.norm(apart[first] - apart[second]))


def test_a_graph_that_is_one_is_left_alone(graph, latent):
    assert reconnected(graph, graph, latent) is graph
