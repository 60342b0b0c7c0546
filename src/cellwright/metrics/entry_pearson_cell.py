"""Hidden entries within a cell: do the expectations of a cell's hidden genes correlate with what they were."""

import numpy as np

from cellwright.metrics.hidden import asked_entries, mean_correlation
from cellwright.metrics.metric import Metric, within_labels

AT_LEAST = 3  # entries of a cell


def entry_pearson_cell(x_entries: np.ndarray, x_expected: np.ndarray) -> float:
    """Pearson's correlation over the asked entries of a cell (not NaN), the mean over cells with three or more.

    Genes differ in their means, so knowing only these gives a high value. Raises `DataError` where no cell has enough.
    """
    asked = asked_entries("entry_pearson_cell", x_entries, x_expected)
    return mean_correlation("entry_pearson_cell", x_entries, x_expected, asked, within="cell", at_least=AT_LEAST)


ENTRY_PEARSON_CELL = Metric(
    function=entry_pearson_cell,
    title="Correlation of hidden entries within a cell",
    task="impute",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_entries", "x_expected"),
    by_label=within_labels(entry_pearson_cell),
)
