"""Balanced normalised mutual information: every label counts the same, however many cells it has.

contingency table n_ij -> p_ij = n_ij / (n_i. n_labels) -> mutual information / mean of the entropies
"""

import math

import numpy as np

from cellwright.metrics.labels import Labels, contingency
from cellwright.metrics.metric import Metric


def balanced_nmi(labels_true: Labels, clusters: Labels) -> float:
    """Mutual information over the arithmetic mean of the entropies, of the table with labels of equal mass [Maan24].

    For labels of equal size this is the normalised mutual information. Cells without a label are left out; one label
    and one cluster score 1, as in `nmi`. Raises `DataError` if no cell is labelled.
    """
    table, _ = contingency(labels_true, clusters)
    shares = table / table.sum(axis=1, keepdims=True) / len(table)
    of_labels, of_clusters, of_both = (_entropy(p) for p in (shares.sum(axis=1), shares.sum(axis=0), shares))
    if of_labels + of_clusters == 0:
        return 1.0
    return float(np.clip(2 * (of_labels + of_clusters - of_both) / (of_labels + of_clusters), 0, 1))


def _entropy(shares: np.ndarray) -> float:
    occurring = shares[shares > 0]
    return -math.fsum(occurring * np.log(occurring))  # to the last digit the same in any order of the clusters


BALANCED_NMI = Metric(
    function=balanced_nmi,
    title="Balanced normalised mutual information",
    task="cluster",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "clusters"),
    citation="Maan24",
)
