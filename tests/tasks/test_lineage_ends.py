"""Lineage ends: who is taken for a name, and what a found end is called."""

import numpy as np
import pandas as pd
import pytest

from cellwright.dynamics.cell_graph import CellGraph
from cellwright.errors import OptionError
from cellwright.tasks.lineage_ends import (
    N_TERMINAL,
    around,
    ends_of,
    named,
    roots_of,
    unused,
    warn_of_no_end,
    warn_of_unreached,
)

CELLS = pd.Index([f"c{row}" for row in range(40)])
LINE = np.arange(40.0)[:, None]
LABELS = pd.Series(np.repeat(["a", "b", "c", None], 10), CELLS, dtype=object)


def line(n_neighbors=20):
    apart = np.abs(LINE - LINE.T)
    np.fill_diagonal(apart, np.inf)
    indices = np.argsort(apart, axis=1, kind="stable")[:, :n_neighbors]
    return CellGraph(indices, np.take_along_axis(apart, indices, axis=1))


def rows(root, labels=LABELS, time=None, cells=CELLS):
    found, proposed = roots_of(root, line(), LINE, cells, labels, time)
    assert proposed is False
    return found.tolist()


def test_a_cell_comes_before_a_label_and_a_label_before_time():
    assert rows("c7", time=LINE.ravel()) == [7]
    assert sorted(rows("b", time=LINE.ravel())) == list(range(10, 20))
    assert rows("a", cells=pd.Index(["x", "a", *CELLS[2:]])) == [1]
    assert rows(None, time=-LINE.ravel()) == [38, 39] or rows(None, time=-LINE.ravel()) == [39, 38]


def test_the_latest_cells_of_a_label_are_its_end():
    order = np.arange(40.0) % 7
    found = ends_of(LABELS, "b", order)
    assert sorted(found) == list(range(10, 20))
    assert (np.diff(order[found]) <= 0).all()
    of_many = pd.Series("a", CELLS, dtype=object)
    assert ends_of(of_many, "a", np.arange(40.0)).tolist() == list(range(39, 39 - N_TERMINAL, -1))


def test_an_end_is_of_reached_cells_only():
    order = np.where(np.arange(40) < 15, np.inf, np.arange(40.0))
    assert sorted(ends_of(LABELS, "b", order)) == [15, 16, 17, 18, 19]
    with pytest.raises(OptionError, match="must be reached from the root; no cell of 'a' is"):
        ends_of(LABELS, "a", order)


def test_a_tip_has_its_nearest_cells_and_no_cell_is_of_two():
    first, second = around(np.array([0, 10]), line())
    assert (first[0], second[0]) == (0, 10)
    assert len(first) == N_TERMINAL
    assert not set(first) & set(second)
    assert 10 not in first


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (None, ("end 1", "end 2", "end 3")),
        (["a", "b", "c"], ("a", "b", "c")),
        (["a", "a", "a"], ("a", "a (2)", "a (3)")),
        (["a", "a", "a (2)"], ("a", "a (3)", "a (2)")),
        ([None, "a", None], ("end 1", "a", "end 3")),
        ([None, "end 1", "a"], ("end 1", "end 1 (2)", "a")),
    ],
    ids=["none", "different", "one label", "a label that looks numbered", "missing", "a label that looks made"],
)
def test_ends_are_called_by_their_label_each_by_a_name_of_its_own(labels, names):
    of_cells = None if labels is None else pd.Series(np.repeat(np.array(labels, dtype=object), 3))
    assert named([np.arange(0, 3), np.arange(3, 6), np.arange(6, 9)], of_cells) == names


def test_an_end_is_called_by_the_label_of_most_of_its_cells():
    assert named([np.array([8, 9, 10, 11, 12])], LABELS.reset_index(drop=True)) == ("b",)


def test_a_name_is_kept_where_it_is_free():
    assert unused("a", {"b"}) == "a"
    assert unused("a", {"a", "a (2)"}) == "a (3)"


def test_nothing_is_said_where_all_are_reached():
    warn_of_unreached(np.arange(4.0), np.zeros(4, dtype=int), None)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, r"3 of 5 cells are in 2 parts .* \(2; 1\); their pseudotime is infinite"),
        (pd.Series(["a", "a", "b", "b", None], dtype=object), r"\(2, mostly b; 1, mostly unlabelled\)"),
    ],
    ids=["without labels", "with"],
)
def test_each_part_that_is_not_reached_is_named(labels, said):
    with pytest.warns(UserWarning, match=said):
        warn_of_unreached(np.array([0, 1, np.inf, np.inf, np.inf]), np.array([0, 0, 1, 1, 2]), labels)


def test_cells_without_a_way_to_an_end_are_counted():
    fates = np.array([[1.0, 0], [np.nan, np.nan], [np.nan, np.nan]])
    with pytest.warns(UserWarning, match="from 1 of 3 cells to none of the ends"):
        warn_of_no_end(fates, np.array([0.0, 0.5, np.inf]))  # the last is not reached, which is said elsewhere
