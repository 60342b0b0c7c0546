"""Macro recall: of the cells that have a label, the share that is said to have it; the mean over labels."""

import numpy as np

from cellwright.metrics.labels import Labels, confusion, share
from cellwright.metrics.metric import Metric


def macro_recall(labels_true: Labels, labels_predicted: Labels) -> float:
    """The mean recall over all labels that occur, true or predicted.

    A label that is predicted but that no cell has counts 0, which is where this differs from `balanced_accuracy`. Cells
    without a label are left out. Raises `DataError` if no cell is labelled, or if one has no prediction.
    """
    table, _ = confusion(labels_true, labels_predicted)
    return float(np.mean(share(np.diag(table), table.sum(axis=1))))


def recall_by_label(labels_true: Labels, labels_predicted: Labels) -> dict[str, float]:
    """The recall of each label that cells have, by its name."""
    table, names = confusion(labels_true, labels_predicted)
    values = share(np.diag(table), table.sum(axis=1))
    return {name: float(value) for name, value, n in zip(names, values, table.sum(axis=1), strict=True) if n}


MACRO_RECALL = Metric(
    function=macro_recall,
    title="Macro recall",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted"),
    by_label=recall_by_label,
)
