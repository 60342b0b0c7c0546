"""Branches: which segment of the lineage tree a cell belongs to, by how far its fate is decided.

    fates (n_obs, n_tips), tree, fates at the root -> at each fork: which child it is committed to, or none yet
    -> segment (n_obs,)

At a fork a cell's fates beyond each child, relative to all beyond the fork, are compared with those of the root: a
commitment of 0 is the root's, 1 is certainty. A cell that is committed by a quarter or more to a child goes on there.
Probabilities themselves would put the stem of a rare branch into the frequent one.
"""

import numpy as np

from cellwright.dynamics.lineage_tree import LineageTree

COMMITTED = 0.25  # of simulated forks .2 to .3 is best, whatever the noise


def branches(fates: np.ndarray, tree: LineageTree, at_root: np.ndarray) -> np.ndarray:
    """The segment of each cell, `(n_obs,)` int; -1 where its fates are not known.

    - `fates (n_obs, n_tips)`, `at_root (n_tips,)`: probabilities, in the order of the tips of the tree.
    """
    segment = np.where(np.isnan(fates).any(axis=1), -1, 0)
    for here in range(len(tree.segments)):
        children = tree.children(here)
        rows = np.flatnonzero(segment == here)
        if not children or not len(rows):
            continue
        beyond = np.column_stack([fates[np.ix_(rows, tree.segments[child].tips)].sum(axis=1) for child in children])
        usual = np.array([at_root[list(tree.segments[child].tips)].sum() for child in children])
        chosen = commitment(_shares(beyond), _shares(usual))
        best = chosen.argmax(axis=1)
        goes_on = chosen.max(axis=1) >= COMMITTED
        segment[rows[goes_on]] = np.array(children)[best[goes_on]]
    return segment


def commitment(probability: np.ndarray, at_root: np.ndarray) -> np.ndarray:
    """How far each probability `(n_obs, n)` is from the root's `(n,)` to one; what the root is sure of is decided."""
    open_at_root = 1 - at_root
    decided = open_at_root <= 0
    return np.where(decided, probability, (probability - at_root) / np.where(decided, 1.0, open_at_root))


def _shares(values: np.ndarray) -> np.ndarray:
    total = values.sum(axis=-1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), 1 / values.shape[-1])
