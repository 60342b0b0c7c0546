"""Accuracy: the share of cells whose label was predicted."""

import numpy as np

from cellwright.metrics.labels import Labels, confusion
from cellwright.metrics.metric import Metric


def accuracy(labels_true: Labels, labels_predicted: Labels) -> float:
    """The share of labelled cells that are predicted right. A frequent label can hide that a rare one is never found.

    Cells without a label (NaN) are left out. Raises `DataError` if no cell is labelled, or if one has no prediction.
    """
    table, _ = confusion(labels_true, labels_predicted)
    return float(np.trace(table) / table.sum())


ACCURACY = Metric(
    function=accuracy,
    title="Accuracy",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted"),
)
