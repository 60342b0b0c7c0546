"""Neighbours kept: counted by hand, by chance, and refused where there is nothing to compare."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.neighbours import Neighbours
from cellwright.metrics.neighbours_kept import kept_by_label, neighbours_kept


def of(indices: list[list[int]]) -> Neighbours:
    return Neighbours(np.array(indices), np.ones(np.shape(indices)))


def test_counts_what_both_name_in_whatever_order():
    before, after = of([[1, 2], [0, 2], [0, 1], [0, 1]]), of([[2, 1], [2, 3], [3, 1], [2, 1]])
    assert neighbours_kept(before, after) == pytest.approx((1 + 1 / 2 + 1 / 2 + 1 / 2) / 4)
    assert kept_by_label(["T", "T", "B", None], before, after) == pytest.approx({"T": 3 / 4, "B": 1 / 2})


def test_by_chance_is_the_share_of_cells_that_are_neighbours():
    rng = np.random.default_rng(0)
    before, after = (
        of([rng.choice(np.delete(np.arange(101), cell), 20, replace=False).tolist() for cell in range(101)])
        for _ in range(2)
    )
    assert neighbours_kept(before, after) == pytest.approx(20 / 100, abs=0.02)


def test_other_numbers_of_cells_or_neighbours_are_refused():
    with pytest.raises(DataError, match=r"\(2, 1\) and \(3, 1\)"):
        neighbours_kept(of([[1], [0]]), of([[1], [0], [0]]))
    with pytest.raises(DataError, match=r"\(3, 1\) and \(3, 2\)"):
        neighbours_kept(of([[1], [0], [0]]), of([[1, 2], [0, 2], [0, 1]]))
