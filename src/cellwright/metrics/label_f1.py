"""Label F1: how well the best-matching cluster recovers each label.

contingency table n_ij -> F1_ij = 2 n_ij / (n_i. + n_.j) -> best cluster of each label -> mean over labels
"""

import numpy as np

from cellwright.metrics.labels import Labels, contingency
from cellwright.metrics.metric import Metric


def label_f1(labels_true: Labels, clusters: Labels) -> float:
    """The mean over labels of the F1 with the cluster that fits the label best; every label counts the same.

    In (0, 1], 1 for the same partition. scIB does this for isolated labels [Luecken22]; here it is done for all.
    Two labels may claim the same cluster. Cells without a label are left out. Raises `DataError` if none is labelled.
    """
    return float(np.mean(list(f1_by_label(labels_true, clusters).values())))


def f1_by_label(labels_true: Labels, clusters: Labels) -> dict[str, float]:
    """F1 = 2 n_ij / (n_i. + n_.j) of each label i with its best cluster j, by the label's name."""
    table, names = contingency(labels_true, clusters)
    f1 = 2 * table / (table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True))
    return dict(zip(names, f1.max(axis=1).tolist(), strict=True))


LABEL_F1 = Metric(
    function=label_f1,
    title="F1 of the best cluster per label",
    task="cluster",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "clusters"),
    citation="Luecken22",
    by_label=f1_by_label,
)
