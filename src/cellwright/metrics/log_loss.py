"""Log loss: how surprising the labels are to the one who gave them probabilities.

probabilities (n_obs, n_labels), label of each cell -> mean over cells of -log p(label)
"""

import math

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.probabilities import labelled, of_the_true

SMALLEST = 1e-7  # about the precision of the float32 in which probabilities are written


def log_loss(codes_true: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean negative logarithm of the probability of the true label, in nats: the cross-entropy.

    A label that was called impossible has the probability `SMALLEST`, so one such cell of a thousand costs 0.016.
    `codes_true (n_obs,)` is the column of each cell's label in `probabilities (n_obs, n_labels)`, -1 for a cell without
    one, which is left out. Raises `DataError` if no cell is labelled, or if the rows are of other cells.
    """
    own = of_the_true(*labelled(codes_true, probabilities))
    return float(-np.log(np.clip(own, SMALLEST, 1.0)).mean())


LOG_LOSS = Metric(
    function=log_loss,
    title="Log loss",
    task="classify",
    better="lower",
    bounds=(0.0, math.inf),
    needs=("codes_true", "probabilities"),
)
