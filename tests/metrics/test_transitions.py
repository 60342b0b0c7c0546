"""A chain over cells becomes one over states; what is counted sums to one; unknown rows stay unknown."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.errors import DataError
from cellwright.metrics.transition_l1 import transition_l1
from cellwright.metrics.transitions import aggregated, counted, terminal

CHAIN = np.array([[0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 1, 0], [0, 0, 0, 1]])
STATES = np.array(["a", "a", "b", "c"])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_a_row_is_the_mean_over_the_cells_of_a_state_of_where_they_go(form):
    found, names = aggregated(form(CHAIN), STATES)
    assert names == ["a", "b", "c"]
    np.testing.assert_allclose(found, [[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]])


def test_several_steps_are_the_power_of_the_chain_over_cells():
    found, _ = aggregated(CHAIN, STATES, n_steps=2)
    member = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(found[0], member[0] / 2 @ CHAIN @ CHAIN @ member.T)


def test_cells_without_a_state_are_left_out_on_both_sides():
    found, names = aggregated(CHAIN, np.array(["a", "a", "b", None], dtype=object))
    assert names == ["a", "b"]
    np.testing.assert_allclose(found[0], [2 / 3, 1 / 3])


def test_pairs_are_counted_and_a_state_that_is_never_left_is_not_known():
    found = counted([0, 0, 0, 1, -1], [1, 1, 0, -1, 0], 2)
    np.testing.assert_allclose(found[0], [1 / 3, 2 / 3])
    assert np.isnan(found[1]).all()


def test_terminal_is_a_state_from_which_nothing_is_more_probable_than_to_stay():
    assert terminal(np.array([[0.6, 0.4], [0.5, 0.5]])).tolist() == [True, False]
    assert terminal(np.full((2, 2), np.nan)).tolist() == [False, False]


def test_rows_that_one_chain_does_not_know_are_not_compared():
    known = np.array([[1.0, 0.0], [0.0, 1.0]])
    unknown = np.array([[0.5, 0.5], [np.nan, np.nan]])
    assert transition_l1(known, unknown) == 0.5
    with pytest.raises(DataError, match="a state that both chains leave"):
        transition_l1(known, unknown * np.nan)


def test_a_chain_of_other_cells_is_refused():
    with pytest.raises(DataError, match=r"must be \(3, 3\)"):
        aggregated(CHAIN, STATES[:3])
