"""Adjusted Rand index: agreement of two partitions over pairs of cells, corrected for chance.

labels, clusters -> contingency table -> (pairs together in both - expected) / (mean of the marginals - expected)
"""

import numpy as np

from cellwright.metrics.labels import Labels, contingency
from cellwright.metrics.metric import Metric


def ari(labels_true: Labels, clusters: Labels) -> float:
    """Adjusted Rand index [Hubert85]: 1 for the same partition, 0 in expectation for a random one, at least -0.5.

    Cells without a label (NaN) are left out; noise of a clustering counts as one more cluster. Two trivial partitions
    that agree (one cell, or one label and one cluster) score 1. Raises `DataError` if no cell is labelled.
    """
    return adjusted_rand(contingency(labels_true, clusters)[0])


def adjusted_rand(table: np.ndarray) -> float:
    """The index of a contingency table `(n_labels, n_clusters)`, whose entries may be weights instead of counts."""
    table = table.astype(np.float64)
    together, total = _pairs(table), _pairs(table.sum(keepdims=True))
    by_label, by_cluster = _pairs(table.sum(axis=1)), _pairs(table.sum(axis=0))
    expected = by_label * by_cluster / total if total else 0.0
    highest = (by_label + by_cluster) / 2
    if np.isclose(highest, expected, rtol=1e-12, atol=0):
        return 1.0  # both partitions put all cells together, or all apart: nothing is left to disagree on
    return (together - expected) / (highest - expected)


def _pairs(cells: np.ndarray) -> float:
    return float((cells * (cells - 1) / 2).sum())


ARI = Metric(
    function=ari,
    title="Adjusted Rand index",
    task="cluster",
    better="higher",
    bounds=(-0.5, 1.0),
    needs=("labels_true", "clusters"),
    citation="Hubert85",
)
