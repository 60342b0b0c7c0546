"""R2: the share of the variance of the values that a prediction explains.

x_true, x_predicted (n_obs, n_vars) -> 1 - sum (x - prediction)^2 / sum (x - mean of its feature)^2
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.values import checked_pair


def r2(x_true: np.ndarray, x_predicted: np.ndarray) -> float:
    """1 - SSE / SST, both summed over all entries of `(n_obs, n_vars)`; SST is about each feature's mean in `x_true`.

    1 for a perfect prediction, 0 for predicting each feature's mean, negative for worse: it has no lower bound.
    Features count in proportion to their variance, so give log-normalised values. This is not the squared correlation,
    which forgives a wrong scale and a wrong offset. Raises `DataError` if no feature varies.
    """
    true, predicted = checked_pair(x_true, x_predicted)
    if (true == true[0]).all():
        raise DataError(f"r2 needs values that vary from cell to cell; those of {len(true)} cells are equal. Use rmse.")
    return float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum())


R2 = Metric(
    function=r2,
    title="Variance explained (R2)",
    task="reconstruct",
    better="higher",
    bounds=(-np.inf, 1.0),
    needs=("x_true", "x_predicted"),
    by_label=within_labels(r2),
)
