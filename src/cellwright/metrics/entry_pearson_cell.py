"""Hidden entries within a cell: do the expectations of a cell's hidden genes correlate with what they were."""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.hidden import asked_entries, correlations
from cellwright.metrics.metric import Metric, within_labels

AT_LEAST = 3  # entries of a cell


def entry_pearson_cell(x_entries: np.ndarray, x_expected: np.ndarray) -> float:
    """Pearson's correlation over the asked entries of a cell (not NaN), the mean over cells with three or more.

    Genes differ in their means, so knowing only these gives a high value. Raises `DataError` where no cell has enough.
    """
    asked = asked_entries("entry_pearson_cell", x_entries, x_expected)
    found = list(correlations(x_entries, x_expected, asked, AT_LEAST))
    if not found:
        raise DataError(
            f"entry_pearson_cell needs a cell with {AT_LEAST} hidden entries that differ; there is none among "
            f"{len(x_entries)}. Hide a larger share."
        )
    return float(np.clip(np.mean(found), -1, 1))


ENTRY_PEARSON_CELL = Metric(
    function=entry_pearson_cell,
    title="Correlation of hidden entries within a cell",
    task="impute",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_entries", "x_expected"),
    by_label=within_labels(entry_pearson_cell),
)
