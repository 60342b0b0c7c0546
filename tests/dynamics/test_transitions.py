"""Transitions: a walk whose rows sum to one, forward in pseudotime as each scheme says."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.dynamics.cell_graph import CellGraph
from cellwright.dynamics.transitions import SCHEMES, hard, over_bridges, soft, stochastic

N_OBS, WIDTH = 60, 10


@pytest.fixture(scope="module")
def cells(graph_of):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N_OBS, 2))
    return latent, graph_of(latent, WIDTH), rng.random(N_OBS)


def by_hand(graph, pseudotime, weight):
    """Row by row: `weight(rank of the neighbour, how much earlier it is)` times the affinity, divided by the sum."""
    affinities, out = graph.affinities.toarray(), np.zeros((graph.n_obs, graph.n_obs))
    span = np.ptp(pseudotime)
    for cell in range(graph.n_obs):
        for rank, other in enumerate(graph.indices[cell]):
            lag = (pseudotime[cell] - pseudotime[other]) / span
            out[cell, other] = affinities[cell, other] * weight(rank, lag)
    total = out.sum(axis=1, keepdims=True)
    return np.where(total > 0, out / np.where(total > 0, total, 1), np.eye(graph.n_obs))


def test_the_hard_scheme_keeps_the_nearest_three_tenths_and_what_is_not_earlier(cells):
    _, graph, time = cells
    expected = by_hand(graph, time, lambda rank, lag: float(rank < 3 or lag <= 0))
    np.testing.assert_allclose(hard(graph, time).toarray(), expected)


def test_the_soft_scheme_weighs_by_how_much_earlier(cells):
    _, graph, time = cells
    weight = lambda rank, lag: 1 if lag <= 0 else 2 / (1 + np.exp(50 * lag))  # noqa: E731
    np.testing.assert_allclose(soft(graph, time).toarray(), by_hand(graph, time, weight), atol=1e-12)


def test_in_the_soft_scheme_a_neighbour_that_is_earlier_never_weighs_more_than_one_that_is_not():
    """Two neighbours as near as each other, one earlier by ever so little."""
    graph = CellGraph(np.array([[1, 2], [0, 2], [0, 1]]), np.ones((3, 2)))
    for lag in (1e-6, 0.005, 0.01, 0.1):
        walk = soft(graph, np.array([0.5, 0.5 - lag, 1.0])).toarray()
        assert walk[0, 1] < walk[0, 2]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rows_sum_to_one_and_go_to_neighbours(cells, scheme):
    _, graph, time = cells
    found = SCHEMES[scheme](graph, time)
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)
    assert found.min() >= 0
    rows, columns = found.nonzero()
    assert all(column in graph.indices[row] for row, column in zip(rows, columns, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_unit_of_pseudotime_and_the_order_of_cells_do_not_matter(cells, scheme, graph_of):
    latent, graph, time = cells
    known = SCHEMES[scheme](graph, time).toarray()
    np.testing.assert_allclose(SCHEMES[scheme](graph, 7 + 100 * time).toarray(), known, atol=1e-12)
    order = np.random.default_rng(1).permutation(N_OBS)
    shuffled = SCHEMES[scheme](graph_of(latent[order], WIDTH), time[order]).toarray()
    np.testing.assert_allclose(shuffled, known[np.ix_(order, order)], atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_pseudotime_for_all_is_the_walk_of_the_affinities(cells, scheme):
    _, graph, _ = cells
    np.testing.assert_allclose(
        SCHEMES[scheme](graph, np.ones(N_OBS)).toarray(), by_hand(graph, np.arange(60.0), lambda *_: 1.0)
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_cells_that_are_not_reached_are_walked_as_the_graph_has_them(cells, scheme):
    _, graph, time = cells
    far = np.where(np.arange(N_OBS) < 20, np.inf, time)
    found = SCHEMES[scheme](graph, far)
    assert np.isfinite(found.data).all()
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)


def test_a_row_without_weights_stays():
    found = stochastic(sparse.csr_matrix([[0.0, 0, 0], [1, 0, 3], [0, 0, 0]]))
    np.testing.assert_allclose(found.toarray(), [[1, 0, 0], [0.25, 0, 0.75], [0, 0, 1]])


def test_a_bridge_is_walked_from_its_earlier_end_as_to_one_more_neighbour():
    walk = sparse.csr_matrix(np.diag([1.0, 1, 1]))
    bridge = sparse.csr_matrix(([5.0, 5.0], ([0, 2], [2, 0])), shape=(3, 3))
    found = over_bridges(walk, bridge, np.array([0.9, 0.5, 0.1]), n_neighbors=4).toarray()
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 1, 0], [0.2, 0, 0.8]])
