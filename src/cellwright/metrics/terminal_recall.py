"""Recall of terminal states: the share of those of the reference that a learned chain finds."""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric


def terminal_recall(terminal_true: np.ndarray, terminal_learned: np.ndarray) -> float:
    """Of states `(n_states,)` bool, terminal or not (see `transitions.terminal`): 1 where all are found.

    A chain in which every state is terminal finds them all: read it beside `transition_l1`. Raises `DataError` where
    the reference has no terminal state.
    """
    true = np.asarray(terminal_true, dtype=bool)
    if not true.any():
        raise DataError("terminal_recall needs a terminal state in the reference; there is none. Give other states.")
    return float(np.asarray(terminal_learned, dtype=bool)[true].mean())


TERMINAL_RECALL = Metric(
    function=terminal_recall,
    title="Terminal states found",
    task="state_transitions",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("terminal_true", "terminal_learned"),
)
