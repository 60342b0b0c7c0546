"""Brier score: squared distance between the probabilities and what is so.

probabilities (n_obs, n_labels), label of each cell -> mean over cells of the sum over labels of (p - is that label)^2
"""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.probabilities import labelled, of_the_true


def brier(codes_true: np.ndarray, probabilities: np.ndarray) -> float:
    """The score of [Brier50], over all labels: 0 to 2; 1 - 1 / n_labels for one who says that all are as probable.

    It is proper: no probabilities do better on average than the right ones. `codes_true (n_obs,)` is the column of each
    cell's label in `probabilities (n_obs, n_labels)`, -1 for a cell without one, which is left out. Raises `DataError`
    if no cell is labelled, or if the rows are of other cells.
    """
    codes, probabilities = labelled(codes_true, probabilities)
    return float(np.mean((probabilities**2).sum(axis=1) - 2 * of_the_true(codes, probabilities) + 1))


BRIER = Metric(
    function=brier,
    title="Brier score",
    task="classify",
    better="lower",
    bounds=(0.0, 2.0),
    needs=("codes_true", "probabilities"),
    citation="Brier50",
)
