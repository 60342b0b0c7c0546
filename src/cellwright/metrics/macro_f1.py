"""Macro F1: the harmonic mean of precision and recall of each label; the mean over labels."""

import numpy as np

from cellwright.metrics.labels import Labels, confusion, share
from cellwright.metrics.metric import Metric


def macro_f1(labels_true: Labels, labels_predicted: Labels) -> float:
    """The mean over all labels that occur of F1 = 2 n_ii / (n_i. + n_.i); every label counts the same.

    It is the mean of the F1, not the F1 of the means [Opitz19]. Cells without a label are left out. Raises `DataError`
    if no cell is labelled, or if one has no prediction.
    """
    table, _ = confusion(labels_true, labels_predicted)
    return float(np.mean(_f1(table)))


def classified_f1_by_label(labels_true: Labels, labels_predicted: Labels) -> dict[str, float]:
    """The F1 of each label that cells have, by its name."""
    table, names = confusion(labels_true, labels_predicted)
    return {name: float(value) for name, value, n in zip(names, _f1(table), table.sum(axis=1), strict=True) if n}


def _f1(table: np.ndarray) -> np.ndarray:
    return share(2 * np.diag(table), table.sum(axis=0) + table.sum(axis=1))


MACRO_F1 = Metric(
    function=macro_f1,
    title="Macro F1",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted"),
    citation="Opitz19",
    by_label=classified_f1_by_label,
)
