"""Macro precision: of the cells that are said to have a label, the share that has it; the mean over labels."""

import numpy as np

from cellwright.metrics.labels import Labels, confusion, share
from cellwright.metrics.metric import Metric


def macro_precision(labels_true: Labels, labels_predicted: Labels) -> float:
    """The mean precision over all labels that occur, true or predicted; 0 for a label that is never predicted.

    Cells without a label are left out. Raises `DataError` if no cell is labelled, or if one has no prediction.
    """
    table, _ = confusion(labels_true, labels_predicted)
    return float(np.mean(share(np.diag(table), table.sum(axis=0))))


def precision_by_label(labels_true: Labels, labels_predicted: Labels) -> dict[str, float]:
    """The precision of each label that cells have, by its name."""
    table, names = confusion(labels_true, labels_predicted)
    values = share(np.diag(table), table.sum(axis=0))
    return {name: float(value) for name, value, n in zip(names, values, table.sum(axis=1), strict=True) if n}


MACRO_PRECISION = Metric(
    function=macro_precision,
    title="Macro precision",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted"),
    by_label=precision_by_label,
)
