"""Balanced adjusted Rand index: every label counts the same, however many cells it has.

contingency table n_ij -> m_ij = n_ij / n_i. * n / n_labels (each label has the same mass) -> adjusted Rand index
"""

from cellwright.metrics.ari import adjusted_rand
from cellwright.metrics.labels import Labels, contingency
from cellwright.metrics.metric import Metric


def balanced_ari(labels_true: Labels, clusters: Labels) -> float:
    """Adjusted Rand index of the contingency table whose rows are scaled to equal mass [Maan24].

    With n cells and R labels, m_ij = n_ij / n_i. * n / R, and a mass m counts m (m - 1) / 2 pairs; for labels of equal
    size this is the adjusted Rand index. It equals the authors' code but for their rounding of m_ij to whole cells.
    A large cell type that is split well can no longer hide a rare one that is lost. Cells without a label are left out.
    """
    table, _ = contingency(labels_true, clusters)
    per_label = table.sum(axis=1, keepdims=True)
    return adjusted_rand(table / per_label * per_label.mean())


BALANCED_ARI = Metric(
    function=balanced_ari,
    title="Balanced adjusted Rand index",
    task="cluster",
    better="higher",
    bounds=(-0.5, 1.0),
    needs=("labels_true", "clusters"),
    citation="Maan24",
)
