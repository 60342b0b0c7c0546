"""Negative log-likelihood: how improbable the values are under a model, per cell.

    log p(x | z) (n_obs,) -> mean of -log p, in nats per cell

It compares runs of one likelihood; a density of real numbers and a probability of counts have no common scale.
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels


def nll(log_prob: np.ndarray) -> float:
    """The mean of -`log_prob (n_obs,)`, in nats per cell. Raises `DataError` where there is no cell."""
    if not len(log_prob):
        raise DataError("nll needs at least one cell; there is none. Hold out more cells.")
    return float(-np.mean(log_prob))


NLL = Metric(
    function=nll,
    title="Negative log-likelihood (own likelihood)",
    task="reconstruct",
    better="lower",
    bounds=(-np.inf, np.inf),
    needs=("log_prob",),
    by_label=within_labels(nll),
)
