"""Error of means: how far the mean profile of predicted cells is from that of treated ones, gene by gene.

x_treated (n_treated, n_vars), x_predicted (n_predicted, n_vars) -> mean profiles (n_vars,) -> mean |difference|
"""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import mean_profiles


def mean_mae(x_treated: np.ndarray, x_predicted: np.ndarray) -> float:
    """The mean over genes of |mean treated - mean predicted|, in the unit of the values; 0 is perfect.

    Silent genes count like all others and are easy: among many of them the value says little about those that change.

    Raises `DataError` where the features differ in number or a side has no cells.
    """
    treated, predicted = mean_profiles("mean_mae", x_treated=x_treated, x_predicted=x_predicted)
    return float(np.abs(treated - predicted).mean())


MEAN_MAE = Metric(
    function=mean_mae,
    title="Mean absolute error of means",
    task="perturb",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_treated", "x_predicted"),
)
