"""Branch F1 by hand, and against a loop over sets of cells."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.branch_f1 import branch_f1


def by_sets(true, found):
    """The definition of [Saelens19]: mean of the best Jaccard each way, harmonic mean of the two."""
    sets = [{name: {*np.flatnonzero(of == name).tolist()} for name in np.unique(of)} for of in (true, found)]
    best = [
        np.mean([max(len(one & other) / len(one | other) for other in those.values()) for one in these.values()])
        for these, those in (sets, sets[::-1])
    ]
    return 2 / (1 / best[0] + 1 / best[1])


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_definition(seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, 80)
    found = np.where(rng.random(80) < 0.6, true, rng.integers(0, 6, 80))
    assert branch_f1(true, found) == pytest.approx(by_sets(true, found))


def test_by_hand():
    """Trunk of 4 cells and branches of 3 each; found: the trunk with one cell of A too many, and A and B as one."""
    true = np.array(list("TTTTAAABBB"))
    found = np.array(list("tttttxxxxx"))
    recovery = (4 / 5 + 2 / 6 + 3 / 5) / 3
    relevance = (4 / 5 + 3 / 5) / 2
    assert branch_f1(true, found) == pytest.approx(2 * recovery * relevance / (recovery + relevance))


def test_one_branch_for_all_is_worth_the_shares():
    true = np.repeat(["T", "A"], [30, 10])
    recovery, relevance = (0.75 + 0.25) / 2, 0.75
    assert branch_f1(true, np.zeros(40)) == pytest.approx(2 * recovery * relevance / (recovery + relevance))


def test_it_is_the_same_both_ways():
    rng = np.random.default_rng(0)
    true, found = rng.integers(0, 3, 60), rng.integers(0, 5, 60)
    assert branch_f1(true, found) == pytest.approx(branch_f1(found, true))


def test_a_cell_without_a_found_branch_is_refused_and_one_without_a_true_branch_left_out():
    true, found = np.array(["T", "T", "A", None], dtype=object), np.array(["t", "t", "a", "a"], dtype=object)
    assert branch_f1(true, found) == 1
    with pytest.raises(DataError):
        branch_f1(true, np.array(["t", None, "a", "a"], dtype=object))
