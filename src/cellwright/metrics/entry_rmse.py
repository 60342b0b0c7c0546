"""Error of hidden entries: root mean squared difference over entries that were set to zero and are asked for."""

import numpy as np

from cellwright.metrics.hidden import asked_entries
from cellwright.metrics.metric import Metric, within_labels


def entry_rmse(x_entries: np.ndarray, x_expected: np.ndarray) -> float:
    """Over the entries of `x_entries (n_obs, n_vars)` that are not NaN, in its unit; give logarithms. 0 is perfect.

    All asked entries were above zero, so predicting too much costs less here than it should. Raises `DataError` where
    no entry is asked for.
    """
    asked = asked_entries("entry_rmse", x_entries, x_expected)
    return float(np.sqrt(np.mean((x_entries[asked].astype(np.float64) - x_expected[asked]) ** 2)))


ENTRY_RMSE = Metric(
    function=entry_rmse,
    title="Error of hidden entries",
    task="impute",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_entries", "x_expected"),
    by_label=within_labels(entry_rmse),
)
