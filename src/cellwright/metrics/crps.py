"""CRPS: the continuous ranked probability score of single values: how far draws are from what came, less their spread.

x_future (n_obs, n_ahead), x_draws (n_obs, n_ahead, n_draws) -> E|X - y| - E|X - X'| / 2 of each value, their mean
"""

import numpy as np

from cellwright.metrics.futures import draws_of, measured
from cellwright.metrics.metric import Metric, within_labels


def crps(x_future: np.ndarray, x_draws: np.ndarray) -> float:
    """In the unit of the values; for one certain forecast it is the absolute error, and 0 is perfect [Gneiting07].

    The estimate over pairs of different draws has the expectation of infinitely many draws, and may be a little below 0
    for few. Raises `DataError` for fewer than two draws, or where no value was measured.
    """
    draws = draws_of("crps", x_draws)
    known = measured("crps", x_future, x_draws)
    drawn, came = np.sort(draws[known], axis=1), x_future[known].astype(np.float64)
    n = drawn.shape[1]
    # the sum of |x - x'| over pairs, from the sorted draws
    weights = 2 * np.arange(n) - n + 1
    between = 2 * (drawn @ weights) / (n * (n - 1))
    return float(np.mean(np.abs(drawn - came[:, None]).mean(axis=1) - between / 2))


CRPS = Metric(
    function=crps,
    title="CRPS of forecasts",
    task="forecast",
    better="lower",
    bounds=(-np.inf, np.inf),  # the score is not below 0, its estimate may be
    needs=("x_future", "x_draws"),
    citation="Gneiting07",
    by_label=within_labels(crps),
)
