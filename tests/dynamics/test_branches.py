"""Branches: a cell goes on where its fate is a quarter of the way from the root's to certainty, and stays before."""

import numpy as np
import pytest

from cellwright.dynamics.branches import branches, commitment
from cellwright.dynamics.lineage_tree import LineageTree, Segment

# 0 the trunk; 1 the first tip; 2 the fork into 3 (second tip) and 4 (third tip)
TREE = LineageTree(
    np.array([7, 8, 9]),
    (
        Segment(-1, 0.0, 0.3, (0, 1, 2)),
        Segment(0, 0.3, 1.0, (0,)),
        Segment(0, 0.3, 0.6, (1, 2)),
        Segment(2, 0.6, 0.9, (1,)),
        Segment(2, 0.6, 0.9, (2,)),
    ),
)
AT_ROOT = np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("fate", "segment"),
    [
        ([0.5, 0.3, 0.2], 0),
        ([0.62, 0.23, 0.15], 0),  # .24 of the way from .5 to 1
        ([0.63, 0.22, 0.15], 1),  # .26
        ([1.0, 0.0, 0.0], 1),
        ([0.3, 0.42, 0.28], 2),  # .4 beyond the fork, and there .6 and .4 as at the root
        ([0.2, 0.8 * 0.69, 0.8 * 0.31], 2),  # .225 of the way from .6 to 1
        ([0.2, 0.8 * 0.71, 0.8 * 0.29], 3),  # .275
        ([0.0, 0.0, 1.0], 4),
        ([np.nan, np.nan, np.nan], -1),
    ],
    ids=["root", "not yet", "first", "at its tip", "fork", "not yet second", "second", "third", "unknown"],
)
def test_a_cell_is_where_it_is_committed(fate, segment):
    assert branches(np.array([fate]), TREE, AT_ROOT).tolist() == [segment]


def test_a_rare_fate_does_not_make_the_stem_the_frequent_one():
    """The root's probabilities are no decision, however uneven they are."""
    segments = (Segment(-1, 0, 0.5, (0, 1)), Segment(0, 0.5, 1, (0,)), Segment(0, 0.5, 1, (1,)))
    tree = LineageTree(np.array([1, 2]), segments)
    uneven = np.array([0.95, 0.05])
    assert branches(np.array([uneven, [0.7, 0.3], [0.99, 0.01]]), tree, uneven).tolist() == [0, 2, 1]


def test_commitment_is_nothing_at_the_root_and_one_at_certainty():
    found = commitment(np.array([[0.2, 0.8], [1, 0], [0.6, 0.9]]), np.array([0.2, 0.8]))
    np.testing.assert_allclose(found, [[0, 0], [1, -4], [0.5, 0.5]], atol=1e-12)


def test_what_the_root_is_sure_of_is_decided():
    np.testing.assert_allclose(commitment(np.array([[1.0, 0.0]]), np.array([1.0, 0.0])), [[1, 0]])


def test_one_tip_is_one_segment():
    tree = LineageTree(np.array([3]), (Segment(-1, 0.0, 1.0, (0,)),))
    assert branches(np.array([[1.0], [np.nan]]), tree, np.ones(1)).tolist() == [0, -1]


def test_the_order_of_cells_does_not_matter():
    fates = np.random.default_rng(0).dirichlet([1, 1, 1], 40)
    order = np.random.default_rng(1).permutation(40)
    assert (branches(fates[order], TREE, AT_ROOT) == branches(fates, TREE, AT_ROOT)[order]).all()
