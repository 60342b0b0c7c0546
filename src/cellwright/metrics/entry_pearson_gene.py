"""Hidden entries within a gene: do the expectations of a gene correlate over the cells where it was hidden."""

import numpy as np

from cellwright.metrics.hidden import asked_entries, mean_correlation
from cellwright.metrics.metric import Metric

AT_LEAST = 10  # entries of a gene


def entry_pearson_gene(x_entries: np.ndarray, x_expected: np.ndarray) -> float:
    """Pearson's correlation over the asked entries of a gene (not NaN), the mean over genes with ten or more.

    Cells differ in their libraries, so give values that are normalised by them. Raises `DataError` where no gene has
    enough.
    """
    asked = asked_entries("entry_pearson_gene", x_entries, x_expected)
    return mean_correlation("entry_pearson_gene", x_entries.T, x_expected.T, asked.T, within="gene", at_least=AT_LEAST)


ENTRY_PEARSON_GENE = Metric(
    function=entry_pearson_gene,
    title="Correlation of hidden entries within a gene",
    task="impute",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_entries", "x_expected"),
)
