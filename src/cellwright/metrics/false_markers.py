"""False markers: genes that seem to differ between two random halves of one cell type, each imputed by itself.

x_first (n_first, n_vars), x_second (n_second, n_vars) -> Wilcoxon rank-sum test -> share of features with FDR < .05

References: [Andrews18]; [Wilcoxon45] the test; [Benjamini95] the false discovery rate.
"""

import numpy as np

from cellwright.metrics.changed_genes import FALSE_DISCOVERY_RATE, changed_genes
from cellwright.metrics.metric import Metric

HARMLESS = 0.05  # at most: as many as a test at this false discovery rate may call by chance


def false_markers(x_first: np.ndarray, x_second: np.ndarray) -> float:
    """The share of the features that a test calls different, of which none is: 0 is right.

    Give log-normalised values. Raises `DataError` where a side has fewer than two cells.
    """
    return float((changed_genes(x_first, x_second)["fdr"] < FALSE_DISCOVERY_RATE).mean())


FALSE_MARKERS = Metric(
    function=false_markers,
    title="False markers between halves",
    task="impute",
    better="lower",
    bounds=(0.0, 1.0),
    needs=("x_first", "x_second"),
    citation="Andrews18",
)
