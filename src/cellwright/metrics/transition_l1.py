"""Difference of two chains over states: the total variation of the rows, their mean."""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.transitions import both_known


def transition_l1(transitions_true: np.ndarray, transitions_learned: np.ndarray) -> float:
    """Half the sum of |p - q| of each row, mean over the states that both know: 0 equal, 1 nothing in common.

    It is the share of moves that go elsewhere. Raises `DataError` where no state is known to both.
    """
    known = both_known("transition_l1", transitions_true, transitions_learned)
    apart = np.abs(transitions_true[known] - transitions_learned[known]).sum(axis=1).mean() / 2
    return min(1.0, float(apart))  # rounding


TRANSITION_L1 = Metric(
    function=transition_l1,
    title="Transitions that differ",
    task="state_transitions",
    better="lower",
    bounds=(0.0, 1.0),
    needs=("transitions_true", "transitions_learned"),
)
