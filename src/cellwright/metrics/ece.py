"""Expected calibration error: how far the probability of the answer is from the share of right answers.

probabilities (n_obs, n_labels) -largest-> confidence -15 bins of equal width-> |mean confidence - accuracy| per bin
-> mean over the cells
"""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.probabilities import labelled

N_BINS = 15  # of [Guo17]


def ece(codes_true: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error of the most probable label [Naeini15], in 15 bins of equal width as in [Guo17].

    0 where of the cells that are answered with a probability p the share p is right. An estimate from few cells is too
    high, also for a perfect model [Roelofs22]: compare models on the same cells. Bins of equal mass are less biased but
    would have to divide cells with equal probabilities, which nearest neighbours give by the hundred.

    `codes_true (n_obs,)` is the column of each cell's label in `probabilities (n_obs, n_labels)`, -1 for a cell without
    one, which is left out. Raises `DataError` if no cell is labelled, or if the rows are of other cells.
    """
    codes, probabilities = labelled(codes_true, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == codes
    sums = [np.bincount(bins_of(confidence), weights=values, minlength=N_BINS) for values in (confidence, right)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(codes))


def bins_of(confidence: np.ndarray) -> np.ndarray:
    """The bin of each confidence: intervals that are open below, (0, 1/15], ..., (14/15, 1]."""
    return np.clip(np.ceil(confidence * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)


ECE = Metric(
    function=ece,
    title="Expected calibration error",
    task="classify",
    better="lower",
    bounds=(0.0, 1.0),
    needs=("codes_true", "probabilities"),
    citation="Guo17",
)
