"""Root mean squared error: how far a prediction is from the value, in the value's own unit."""

import numpy as np

from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.values import checked_pair


def rmse(x_true: np.ndarray, x_predicted: np.ndarray) -> float:
    """sqrt(mean (x - prediction)^2) over all entries, in the unit of `x_true`; 0 is perfect.

    Any shape will do as long as it is the same: a matrix `(n_obs, n_vars)`, or only the entries that were hidden.
    Raises `DataError` if the shapes differ.
    """
    true, predicted = checked_pair(x_true, x_predicted)
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


RMSE = Metric(
    function=rmse,
    title="Root mean squared error",
    task="reconstruct",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_true", "x_predicted"),
    by_label=within_labels(rmse),
)
