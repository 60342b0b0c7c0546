"""The lineage tree of a graph whose tips, forks and branches are known."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from cellwright.dynamics.geodesic import geodesic
from cellwright.dynamics.lineage_tree import lineage_tree, maxima

ROOT = np.array([0])
FEW = {"min_length": 0.1, "min_cells": 2}


def edges_of(tree):
    """Each segment as the tips beyond its parent, its own, and where it begins and ends."""
    beyond = lambda position: tuple(tree.tips[list(tree.segments[position].tips)].tolist())  # noqa: E731
    return [
        (beyond(segment.parent) if segment.parent >= 0 else None, beyond(position), segment.start, segment.end)
        for position, segment in enumerate(tree.segments)
    ]


def test_a_y_has_its_two_tips_the_latest_first(fork):
    assert maxima(fork, geodesic(fork, ROOT), **FEW).tolist() == [19, 24]


def test_a_y_has_its_fork_and_its_branches(fork):
    time = geodesic(fork, ROOT)
    tree = lineage_tree(fork, time, np.array([19, 24]))
    at_fork, short_end = time[9], time[24]
    assert edges_of(tree) == [
        (None, (19, 24), 0.0, at_fork), ((19, 24), (19,), at_fork, 1.0), ((19, 24), (24,), at_fork, short_end),
    ]  # fmt: skip
    assert at_fork == pytest.approx(9 / 19)
    assert [segment.is_tip for segment in tree.segments] == [False, True, True]
    assert tree.children(0) == [1, 2]


def test_a_line_is_one_segment(path):
    graph = path(np.ones(9))
    time = geodesic(graph, ROOT)
    tips = maxima(graph, time, **FEW)
    assert tips.tolist() == [9]
    assert edges_of(lineage_tree(graph, time, tips)) == [(None, (9,), 0.0, 1.0)]


@pytest.mark.parametrize(
    ("least", "tips"),
    [
        ({"min_length": 0.3, "min_cells": 2}, [19]),  # the shorter branch is 5 of 19 long
        ({"min_length": 0.2, "min_cells": 2}, [19, 24]),
        ({"min_length": 0.1, "min_cells": 6}, [19]),
        ({"min_length": 0.1, "min_cells": 5}, [19, 24]),
    ],
    ids=["too short", "long enough", "too few cells", "enough cells"],
)
def test_what_is_short_or_small_is_no_branch(fork, least, tips):
    assert maxima(fork, geodesic(fork, ROOT), **least).tolist() == tips


def star(n_branches, length=5, stem=3):
    """A stem with so many equal branches at its end."""
    pairs = [(cell, cell + 1) for cell in range(stem)]
    for branch in range(n_branches):
        cells = [stem, *range(stem + 1 + branch * length, stem + 1 + (branch + 1) * length)]
        pairs += itertools.pairwise(cells)
    rows, columns = np.array(pairs).T
    half = sparse.csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(rows.size + 1, rows.size + 1))
    return (half + half.T).tocsr()


def test_a_fork_into_three_is_one_fork():
    graph = star(3)
    time = geodesic(graph, ROOT)
    tree = lineage_tree(graph, time, maxima(graph, time, **FEW))
    assert [segment.parent for segment in tree.segments] == [-1, 0, 0, 0]
    assert {segment.start for segment in tree.segments[1:]} == {3 / 8}


@pytest.mark.parametrize(("apart", "n_segments"), [(0.05, 4), (0.4, 5)], ids=["near forks", "forks apart"])
def test_two_forks_are_one_where_they_are_nearer_than_a_branch_is_long(apart, n_segments):
    """A comb: a stem of one, then two forks `apart`, and three tips."""
    half = sparse.lil_matrix((5, 5))
    half[0, 1], half[1, 2] = 1, apart  # root, first fork, second fork
    half[2, 3], half[2, 4] = 1, 1.1
    half.resize(6, 6)
    half[1, 5] = 1.2
    graph = (half + half.T).tocsr()
    time = geodesic(graph, ROOT)
    tree = lineage_tree(graph, time, np.array([3, 4, 5]))
    assert len(tree.segments) == n_segments
    assert sorted(segment.tips for segment in tree.segments if segment.is_tip) == [(0,), (1,), (2,)]


def test_each_part_has_a_tip_and_what_does_not_touch_leaves_from_the_start(path):
    edges = np.ones(9)
    edges[4] = 0  # two paths of five cells
    graph = path(edges)
    graph.eliminate_zeros()
    time = np.concatenate([np.arange(5.0), np.arange(5.0)]) / 4
    tips = maxima(graph, time, **FEW)
    assert tips.tolist() == [4, 9]
    tree = lineage_tree(graph, time, tips)
    assert [(segment.parent, segment.start, segment.end) for segment in tree.segments] == [
        (-1, 0, 0), (0, 0, 1), (0, 0, 1),
    ]  # fmt: skip


def test_what_is_not_reached_is_no_tip(fork):
    both = sparse.block_diag([fork, fork]).tocsr()
    time = geodesic(both, ROOT)
    tips = maxima(both, time, **FEW)
    assert tips.tolist() == [19, 24]
    assert len(lineage_tree(both, time, tips).segments) == 3


def test_a_tip_that_others_pass_is_a_branch_of_no_length(path):
    graph = path(np.ones(9))
    time = geodesic(graph, ROOT)
    tree = lineage_tree(graph, time, np.array([9, 4]))
    assert edges_of(tree) == [
        (None, (9, 4), 0.0, 4 / 9), ((9, 4), (9,), 4 / 9, 1.0), ((9, 4), (4,), 4 / 9, 4 / 9),
    ]  # fmt: skip


def test_the_order_of_cells_does_not_matter(fork):
    order = np.random.default_rng(0).permutation(25)
    shuffled = fork[order][:, order]
    time = geodesic(fork, ROOT)
    tips = maxima(shuffled, time[order], **FEW)
    assert order[tips].tolist() == [19, 24]
    tree, known = lineage_tree(shuffled, time[order], tips), lineage_tree(fork, time, order[tips])
    assert tree.segments == known.segments
