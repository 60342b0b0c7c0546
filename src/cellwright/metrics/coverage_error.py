"""Error of coverage: how far the share of values within the interval of nine draws in ten is from nine in ten."""

import numpy as np

from cellwright.metrics.futures import draws_of, measured
from cellwright.metrics.metric import Metric

LEVEL = 0.9  # of the central interval


def coverage(x_future: np.ndarray, x_draws: np.ndarray) -> float:
    """The share of the measured values that lie between the 5 % and the 95 % quantile of their draws."""
    draws = draws_of("coverage_error", x_draws)
    known = measured("coverage_error", x_future, x_draws)
    low, high = np.quantile(draws[known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    came = x_future[known]
    return float(np.mean((came >= low) & (came <= high)))


def coverage_error(x_future: np.ndarray, x_draws: np.ndarray) -> float:
    """|coverage - .9|; 0 is perfect, and wide intervals are no remedy: they cover too much.

    Raises `DataError` for fewer than two draws, or where no value was measured.
    """
    return abs(coverage(x_future, x_draws) - LEVEL)


COVERAGE_ERROR = Metric(
    function=coverage_error,
    title="Coverage of the 90 % interval, off by",
    task="forecast",
    better="lower",
    bounds=(0.0, LEVEL),
    needs=("x_future", "x_draws"),
    citation="Gneiting07",
)
