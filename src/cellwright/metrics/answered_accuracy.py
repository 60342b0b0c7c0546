"""Accuracy among the answered: the share of right answers, where a classifier may say that it is unsure."""

import numpy as np
import pandas as pd

from cellwright.errors import DataError
from cellwright.metrics.accuracy import accuracy
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric


def answered_accuracy(labels_true: Labels, labels_predicted: Labels, answered: np.ndarray) -> float:
    """The accuracy over the labelled cells that are `answered (n_obs,)`: one minus the selective risk [ElYaniv10].

    It rises as fewer cells are answered, so it says nothing without `coverage`. Raises `DataError` if no labelled cell
    is answered, or if the numbers of cells differ.
    """
    codes, _ = codes_of(labels_true, "labels_true")
    if not (len(codes) == len(labels_predicted) == len(answered)):
        raise DataError(
            "labels_true, labels_predicted and answered must be of the same cells; they have "
            f"{len(codes)}, {len(labels_predicted)} and {len(answered)} entries. Take all from one AnnData."
        )
    rows = (codes >= 0) & np.asarray(answered)
    if not rows.any():
        raise DataError(
            f"answered_accuracy must have an answered cell; of {int((codes >= 0).sum())} none is. Lower the threshold."
        )
    return accuracy(pd.Series(labels_true).to_numpy()[rows], pd.Series(labels_predicted).to_numpy()[rows])


ANSWERED_ACCURACY = Metric(
    function=answered_accuracy,
    title="Accuracy among the answered",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "labels_predicted", "answered"),
    citation="ElYaniv10",
)
