"""Fates: absorption probabilities in closed form and of a dense solve."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.dynamics.fates import fates, lineage_end


def gambler(n, up):
    """A walk on 0 to n that goes up with that probability and else down; both ends absorb."""
    walk = sparse.diags([np.full(n, 1 - up), np.full(n, up)], [-1, 1], shape=(n + 1, n + 1)).tolil()
    walk[0], walk[n] = 0, 0
    walk[0, 0] = walk[n, n] = 1
    return walk.tocsr()


@pytest.mark.parametrize("up", [0.3, 0.5, 0.7])
def test_a_gamblers_ruin(up):
    n = 12
    found = fates(gambler(n, up), [np.array([0]), np.array([n])], np.arange(n + 1.0))
    odds = (1 - up) / up
    at = np.arange(n + 1)
    expected = at / n if up == 0.5 else (1 - odds**at) / (1 - odds**n)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-7)


def chain(n_obs=50, seed=0):
    """A dense chain whose terminal states are rows 0 to 2, 3 and 4, and 5."""
    rng = np.random.default_rng(seed)
    walk = rng.random((n_obs, n_obs)) * (rng.random((n_obs, n_obs)) < 0.2) + 0.01 * np.eye(n_obs)
    return walk / walk.sum(axis=1, keepdims=True), [np.array([0, 1, 2]), np.array([3, 4]), np.array([5])]


def solved(walk, terminal):
    ends = np.concatenate(terminal)
    moving = np.setdiff1d(np.arange(len(walk)), ends)
    to_ends = np.column_stack([walk[moving][:, rows].sum(axis=1) for rows in terminal])
    out = np.zeros((len(walk), len(terminal)))
    for code, rows in enumerate(terminal):
        out[rows, code] = 1
    out[moving] = np.linalg.solve(np.eye(len(moving)) - walk[np.ix_(moving, moving)], to_ends)
    return out


@pytest.mark.parametrize("order", ["forward", "backward", "none"])
def test_they_are_those_of_a_dense_solve_whatever_the_order(order):
    walk, terminal = chain()
    given = {"forward": np.arange(50.0), "backward": -np.arange(50.0), "none": np.full(50, np.inf)}[order]
    found = fates(sparse.csr_matrix(walk), terminal, given)
    np.testing.assert_allclose(found, solved(walk, terminal), atol=1e-6)


def test_rows_sum_to_one_and_a_terminal_cell_is_sure():
    walk, terminal = chain(seed=1)
    found = fates(sparse.csr_matrix(walk), terminal, np.arange(50.0))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found.min() >= 0
    np.testing.assert_array_equal(found[:6], np.eye(3)[[0, 0, 0, 1, 1, 2]])


def test_the_order_of_cells_and_of_states_does_not_matter():
    walk, terminal = chain()
    known = fates(sparse.csr_matrix(walk), terminal, np.arange(50.0))
    order = np.random.default_rng(0).permutation(50)
    at = np.argsort(order)
    moved = [at[rows] for rows in terminal][::-1]
    found = fates(sparse.csr_matrix(walk[np.ix_(order, order)]), moved, order.astype(float))
    np.testing.assert_allclose(found[:, ::-1], known[order], atol=1e-6)


def test_what_has_no_way_to_an_end_has_no_fate_and_takes_none_from_others():
    """Cell 1 goes to the end or, as often, to cell 2, which never leaves: of those that end, all end there."""
    walk = sparse.csr_matrix([[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 1, 0], [0.2, 0.8, 0, 0]])
    found = fates(walk, [np.array([0])], np.arange(4.0))
    np.testing.assert_allclose(found.ravel(), [1, 1, np.nan, 1])


def test_with_no_end_nobody_has_a_fate():
    assert fates(gambler(4, 0.5), [], np.arange(5.0)).shape == (5, 0)


def test_where_every_cell_is_an_end_each_is_its_own():
    found = fates(sparse.csr_matrix(np.eye(3)), [np.array([0, 2]), np.array([1])], np.zeros(3))
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [1, 0]])


def test_a_lineage_ends_with_the_latest_cell_that_is_rather_of_it_than_not():
    assert lineage_end(np.array([0.1, 0.4, 0.9, 0.6]), np.array([0.3, 1.0, 1e-9, 0.5])) == 0.6
