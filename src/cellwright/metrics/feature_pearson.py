"""Feature correlation: of each feature, does its prediction correlate with it over the cells; the mean over features.

x_true, x_predicted (n_obs, n_vars) -Pearson per column-> (n_vars,) -mean over features that vary-> one number
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.values import checked_pair


def feature_pearson(x_true: np.ndarray, x_predicted: np.ndarray) -> float:
    """Pearson's correlation over cells, the mean over the features that vary from cell to cell.

    A feature for which the same is predicted of all cells has a correlation of zero: nothing was told of it. All
    features count the same, rare ones too, whose noise no prediction can know: compare methods, not data sets. Raises
    `DataError` where no feature varies.
    """
    true, predicted = checked_pair(x_true, x_predicted)
    varies = np.ptp(true, axis=0) > 0
    if not varies.any():
        raise DataError(
            f"feature_pearson needs a feature that varies from cell to cell; those of {len(true)} cells are equal. "
            "Use rmse."
        )
    return float(np.clip(correlations(true[:, varies], predicted[:, varies]).mean(), -1, 1))


def correlations(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair of columns, (n_vars,); 0 where either does not vary."""
    told = (np.ptp(true, axis=0) > 0) & (np.ptp(predicted, axis=0) > 0)
    a, b = (values - values.mean(axis=0) for values in (true, predicted))
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norms, out=np.zeros(true.shape[1]), where=told & (norms > 0))


FEATURE_PEARSON = Metric(
    function=feature_pearson,
    title="Correlation of each feature over cells",
    task="translate",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_true", "x_predicted"),
    by_label=within_labels(feature_pearson),
)
