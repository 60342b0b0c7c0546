"""Balanced accuracy: the mean over labels of the share of their cells that is found."""

import numpy as np

from cellwright.metrics.labels import Labels, confusion
from cellwright.metrics.metric import Metric


def balanced_accuracy(labels_true: Labels, labels_predicted: Labels) -> float:
    """The mean recall of the labels that cells have [Brodersen10]; every label counts the same, however rare.

    Chance is 1 / n_labels. Cells without a label are left out. Raises `DataError` if no cell is labelled, or if one has
    no prediction.
    """
    table, _ = confusion(labels_true, labels_predicted)
    per_label = table.sum(axis=1)
    return float(np.mean(np.diag(table)[per_label > 0] / per_label[per_label > 0]))


BALANCED_ACCURACY = Metric(
    function=balanced_accuracy,
    title="Balanced accuracy",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted"),
    citation="Brodersen10",
)
