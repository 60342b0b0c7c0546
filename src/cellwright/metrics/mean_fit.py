"""Fit of means: the share of the differences between genes that the predicted mean profile explains.

x_treated (n_treated, n_vars), x_predicted (n_predicted, n_vars) -> mean profiles (n_vars,) -> 1 - SSE / SST
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import is_constant, mean_profiles


def mean_fit(x_treated: np.ndarray, x_predicted: np.ndarray) -> float:
    """1 - sum (treated - predicted)^2 / sum (treated - its mean over genes)^2, of the mean profiles.

    Unlike the squared correlation (`mean_r2`) it counts a wrong scale and a wrong offset; it has no lower bound. Give
    log-normalised values.

    Raises `DataError` where the features differ in number, a side has no cells, or the treated profile is constant.
    """
    treated, predicted = mean_profiles("mean_fit", x_treated=x_treated, x_predicted=x_predicted)
    if is_constant(treated):
        raise DataError(
            f"mean_fit needs a mean that differs between features; that of x_treated is {treated[0]:g} for all. "
            "Give more features, or use mean_mae."
        )
    return float(1 - ((treated - predicted) ** 2).sum() / ((treated - treated.mean()) ** 2).sum())


MEAN_FIT = Metric(
    function=mean_fit,
    title="Fit of means (1 - SSE / SST)",
    task="perturb",
    better="higher",
    bounds=(-np.inf, 1.0),
    needs=("x_treated", "x_predicted"),
)
