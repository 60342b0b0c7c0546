"""Pearson correlation of predicted and true values over all entries."""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.values import checked_pair


def pearson(x_true: np.ndarray, x_predicted: np.ndarray) -> float:
    """The correlation over all entries, pooled; 1 is a perfect line, whatever its slope and offset.

    Features differ in their means, and a prediction that knows only these already correlates highly: read it beside
    r2, or give differences from a control. Any shape will do as long as it is the same. Raises `DataError` if either
    side is constant.
    """
    true, predicted = (values.ravel() for values in checked_pair(x_true, x_predicted))
    for role, values in (("x_true", true), ("x_predicted", predicted)):
        if (values == values[0]).all():
            raise DataError(f"pearson needs values that vary; all of {role} are {values[0]:g}. Use rmse.")
    return float(np.clip(np.corrcoef(true, predicted)[0, 1], -1.0, 1.0))


PEARSON = Metric(
    function=pearson,
    title="Pearson correlation",
    task="reconstruct",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_true", "x_predicted"),
    by_label=within_labels(pearson),
)
