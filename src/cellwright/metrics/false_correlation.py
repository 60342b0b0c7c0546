"""False correlation: how much an imputation makes genes go together that have nothing to do with each other.

x_before, x_after (n_obs, n_vars), of cells whose genes were permuted -> mean |correlation| of pairs, after - before

References: [Andrews18], who found such signals in most methods.
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import check_cells

HARMLESS = 0.05  # at most: a rise that hides beside what genes of real cells share


def false_correlation(x_before: np.ndarray, x_after: np.ndarray) -> float:
    """The rise of the mean |Pearson correlation| over pairs of features that vary before; 0 is none, below 0 is less.

    A feature that is the same in all cells afterwards has no correlation with any: 0. Raises `DataError` for fewer than
    three cells or two features that vary.
    """
    check_cells("false_correlation", 3, x_before=x_before, x_after=x_after)
    varies = np.ptp(x_before, axis=0) > 0
    if varies.sum() < 2:
        raise DataError(
            f"false_correlation needs two features that vary; {int(varies.sum())} of {len(varies)} do. Give more."
        )
    return _mean_absolute(x_after[:, varies]) - _mean_absolute(x_before[:, varies])


def _mean_absolute(values: np.ndarray) -> float:
    """Over pairs of columns; what varies by rounding only does not vary."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    norms = np.sqrt((centred**2).sum(axis=0))
    largest = np.abs(values).max(axis=0) * np.sqrt(len(values))
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 1e-6 * largest)
    absolute = np.abs(unit.T @ unit)
    n = len(absolute)
    return float(min(1.0, (absolute.sum() - np.trace(absolute)) / (n * (n - 1))))


FALSE_CORRELATION = Metric(
    function=false_correlation,
    title="False correlation of genes",
    task="impute",
    better="lower",
    bounds=(-1.0, 1.0),
    needs=("x_before", "x_after"),
    citation="Andrews18",
)
