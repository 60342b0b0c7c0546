"""Energy score: the CRPS of all that is forecast of a row at once, so that what goes together counts.

x_future (n_obs, n_ahead), x_draws (n_obs, n_ahead, n_draws) -> E|X - y| - E|X - X'| / 2 of each row, their mean
"""

import numpy as np

from cellwright.metrics.futures import draws_of, measured
from cellwright.metrics.metric import Metric, within_labels


def energy_score(x_future: np.ndarray, x_draws: np.ndarray) -> float:
    """Euclidean distances over the steps and quantities of a row that were measured; 0 is perfect [Gneiting07].

    A row counts with the square root of the number of its values taken off, so that rows with gaps are comparable. As
    the CRPS, the estimate may be a little below 0. Raises `DataError` for fewer than two draws, or without a value.
    """
    draws = draws_of("energy_score", x_draws)
    known = measured("energy_score", x_future, x_draws)
    scores = [_of_row(x_future[row, at], draws[row, at]) for row, at in enumerate(known) if at.any()]
    return float(np.mean(scores))


def _of_row(came: np.ndarray, drawn: np.ndarray) -> float:
    n = drawn.shape[1]
    to_came = np.linalg.norm(drawn - came[:, None].astype(np.float64), axis=0).mean()
    squares = (drawn**2).sum(axis=0)
    between = np.sqrt((squares[:, None] + squares - 2 * drawn.T @ drawn).clip(0))
    np.fill_diagonal(between, 0.0)  # rounding, not distance
    return (to_came - between.sum() / (n * (n - 1)) / 2) / np.sqrt(len(came))


ENERGY_SCORE = Metric(
    function=energy_score,
    title="Energy score of forecasts",
    task="forecast",
    better="lower",
    bounds=(-np.inf, np.inf),  # the score is not below 0, its estimate may be
    needs=("x_future", "x_draws"),
    citation="Gneiting07",
    by_label=within_labels(energy_score),
)
