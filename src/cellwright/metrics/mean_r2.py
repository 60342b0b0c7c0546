"""R2 of means: whether the mean profile of predicted cells lies on a line with that of treated ones.

x_treated (n_treated, n_vars), x_predicted (n_predicted, n_vars) -> mean profiles (n_vars,) -> squared Pearson
"""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import correlation, mean_profiles


def mean_r2(x_treated: np.ndarray, x_predicted: np.ndarray) -> float:
    """The squared Pearson correlation over genes of the two mean profiles, as scGen reports it [Lotfollahi19].

    It forgives a wrong scale and a wrong offset (`mean_fit` does not), and genes differ so much in their means that
    control cells already score high: read it beside the score of no change. Give log-normalised values.

    Raises `DataError` where the features differ in number, a side has no cells, or a mean profile is constant.
    """
    treated, predicted = mean_profiles("mean_r2", x_treated=x_treated, x_predicted=x_predicted)
    return correlation("mean_r2", treated, predicted, "mean") ** 2


MEAN_R2 = Metric(
    function=mean_r2,
    title="R2 of means (squared correlation)",
    task="perturb",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("x_treated", "x_predicted"),
    citation="Lotfollahi19",
)
