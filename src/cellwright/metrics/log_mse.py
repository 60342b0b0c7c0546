"""Squared error of logarithms of hidden molecules, as published comparisons of denoising give it.

x_hidden, x_expected (n_obs, n_vars), counts -> each row to 10,000 -> log(1 + y) -> mean squared difference

Read it beside the Poisson deviance, and that one first: a cell has few hidden molecules, so E log(1 + x) is far below
log(1 + E x), and who predicts too little is rewarded.

References: [Batson19] for its use.
"""

import numpy as np

from cellwright.metrics.hidden import hidden_pair
from cellwright.metrics.metric import Metric, within_labels

TARGET_SUM = 1e4


def log_mse(x_hidden: np.ndarray, x_expected: np.ndarray) -> float:
    """The mean over all entries of `(n_obs, n_vars)`; 0 is perfect. Raises as `poisson_deviance`."""
    hidden, expected = hidden_pair("log_mse", x_hidden, x_expected)
    return float(np.mean((_logarithms(hidden) - _logarithms(expected)) ** 2))


def _logarithms(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts * (TARGET_SUM / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)))


LOG_MSE = Metric(
    function=log_mse,
    title="Squared error of logarithms",
    task="impute",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_hidden", "x_expected"),
    citation="Batson19",
    by_label=within_labels(log_mse),
)
