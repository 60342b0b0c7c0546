"""Transitions between states: how a chain over cells becomes one over labels, and what its rows say.

transitions (n_obs, n_obs), states (n_obs,) -> (n_states, n_states), rows sum to one
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of

STAYS = 0.5  # a state from which nothing is more probable than to stay is terminal


def aggregated(
    transitions: sparse.spmatrix | np.ndarray, states: Labels, n_steps: int = 1
) -> tuple[np.ndarray, list[str]]:
    """The chain over states: the mean, over the cells of a state, of where they are after `n_steps` steps.

    Also the names of the states, in the order of rows and columns. Cells without a state are left out, and what leads
    to them. A state that leads nowhere stays. Raises `DataError` where the matrix is not square over the cells.
    """
    codes, names = codes_of(states, "states")
    if transitions.shape != (len(codes), len(codes)):
        raise DataError(
            f"transitions must be ({len(codes)}, {len(codes)}), a row and a column per cell; the shape is "
            f"{transitions.shape}. Give obsp['transitions'] of the same cells."
        )
    member = np.zeros((len(codes), len(names)))
    member[np.flatnonzero(codes >= 0), codes[codes >= 0]] = 1.0
    there = member
    for _ in range(n_steps):
        there = np.asarray(transitions @ there)
    return normalised(member.T @ there), list(names)


def counted(before: Sequence[int] | np.ndarray, after: Sequence[int] | np.ndarray, n_states: int) -> np.ndarray:
    """Shares of what follows each state, `(n_states, n_states)`, from pairs of codes; -1 is left out."""
    first, second = np.asarray(before), np.asarray(after)
    known = (first >= 0) & (second >= 0)
    counts = np.zeros((n_states, n_states))
    np.add.at(counts, (first[known], second[known]), 1.0)
    return normalised(counts)


def normalised(counts: np.ndarray) -> np.ndarray:
    """Rows that sum to one; NaN in a row without counts, of which nothing is known."""
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), np.nan)


def terminal(transitions: np.ndarray) -> np.ndarray:
    """Which states are terminal, (n_states,) bool: those from which to stay has probability above one half."""
    return np.nan_to_num(np.diag(transitions)) > STAYS


def both_known(metric: str, transitions_true: np.ndarray, transitions_learned: np.ndarray) -> np.ndarray:
    """The rows that both chains know, (n_states,) bool. Raises `DataError` where shapes differ or there is none."""
    if transitions_true.shape != transitions_learned.shape or transitions_true.ndim != 2:
        raise DataError(
            f"{metric} must have two chains over the same states; their shapes are {transitions_true.shape} and "
            f"{transitions_learned.shape}. Give the same states in the same order."
        )
    known = ~(np.isnan(transitions_true).any(axis=1) | np.isnan(transitions_learned).any(axis=1))
    if not known.any():
        raise DataError(f"{metric} needs a state that both chains leave; there is none. Give more sequences.")
    return known
