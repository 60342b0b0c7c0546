"""Divergence of a chain over states from a reference: Kullback and Leibler's, of the rows, their mean."""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.transitions import both_known

SMALLEST = 1e-3  # share of every row that is spread over all states: a move that was never drawn is not impossible


def transition_kl(transitions_true: np.ndarray, transitions_learned: np.ndarray) -> float:
    """Sum of p log(p / q) of each row in nats, p the reference, mean over the states that both know; 0 is perfect.

    Either row is mixed with a thousandth of the uniform one, so that it is finite. Raises `DataError` where no state is
    known to both.
    """
    known = both_known("transition_kl", transitions_true, transitions_learned)
    n_states = transitions_true.shape[1]
    p, q = ((1 - SMALLEST) * rows[known] + SMALLEST / n_states for rows in (transitions_true, transitions_learned))
    return max(0.0, float((p * np.log(p / q)).sum(axis=1).mean()))  # rounding


TRANSITION_KL = Metric(
    function=transition_kl,
    title="Divergence of transitions",
    task="state_transitions",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("transitions_true", "transitions_learned"),
    citation="Kullback51",
)
