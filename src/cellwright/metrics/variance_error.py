"""Variance error: whether generated cells vary as much as real ones, feature by feature.

x_real, x_generated (n_obs, n_vars) -> mean over features of |log(variance generated / variance real)|
"""

import math

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.two_samples import most_variable, two_samples

AT_MOST_FEATURES = 500  # of the others, some hundred held-out cells say little
LARGEST = math.log(1000)  # a feature that is constant counts as much as one that varies a thousand times too little


def variance_error(x_real: np.ndarray, x_generated: np.ndarray) -> float:
    """Mean |log ratio| of the variances of the 500 features that vary most among the real cells; .69 is a factor of 2.

    0 for equal variances; too little and too much count alike. A sample of real cells is not at 0 either, for variances
    are estimated: compare with real cells against real cells. Give log-normalised values.

    Raises `DataError` for fewer than two cells of a side, or where no feature varies among the real cells.
    """
    real, generated = two_samples(x_real, x_generated, "variance_error", at_least=2)
    features = most_variable(real, AT_MOST_FEATURES)
    if len(features) == 0:
        raise DataError("variance_error needs real cells that differ; all are equal. Hold out other cells.")
    variances = (side[:, features].var(axis=0, ddof=1) for side in (generated, real))
    with np.errstate(divide="ignore"):
        log_generated, log_real = (np.log(variance) for variance in variances)
    return float(np.minimum(np.abs(log_generated - log_real), LARGEST).mean())


VARIANCE_ERROR = Metric(
    function=variance_error,
    title="Error of variances (mean |log ratio|)",
    task="generate",
    better="lower",
    bounds=(0.0, LARGEST),
    needs=("x_real", "x_generated"),
    by_label=within_labels(variance_error),
)
