"""Normalised mutual information: how much of the labels the clusters tell, as a share of their mean entropy."""

from cellwright.metrics.labels import Labels, labelled_pairs
from cellwright.metrics.metric import Metric


def nmi(labels_true: Labels, clusters: Labels) -> float:
    """Mutual information divided by the arithmetic mean of the two entropies [Vinh10]: 0 independent, 1 the same.

    It is not corrected for chance and grows with the number of clusters: read it beside the adjusted Rand index.
    Cells without a label (NaN) are left out; one label and one cluster score 1. Raises `DataError` if none is labelled.
    """
    from sklearn.metrics import normalized_mutual_info_score  # takes two seconds, and a report needs only the titles

    true, predicted, _ = labelled_pairs(labels_true, clusters)
    return float(normalized_mutual_info_score(true, predicted, average_method="arithmetic"))


NMI = Metric(
    function=nmi,
    title="Normalised mutual information",
    task="cluster",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "clusters"),
    citation="Vinh10",
)
