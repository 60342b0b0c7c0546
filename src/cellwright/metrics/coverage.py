"""Coverage: the share of cells that get an answer where a classifier may say that it is unsure."""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric, within_labels


def coverage(labels_true: Labels, answered: np.ndarray) -> float:
    """The share of labelled cells that are `answered (n_obs,)` [ElYaniv10]; the others were called unsure.

    Read it beside the accuracy among the answered: either alone is easy. Raises `DataError` if no cell is labelled, or
    if the numbers of cells differ.
    """
    if len(labels_true) != len(answered):
        raise DataError(
            f"labels_true and answered must be of the same cells; they have {len(labels_true)} and {len(answered)} "
            "entries. Take both from one AnnData."
        )
    codes, _ = codes_of(labels_true, "labels_true")
    return _share(np.asarray(answered)[codes >= 0])


def _share(answered: np.ndarray) -> float:
    return float(np.mean(answered))


COVERAGE = Metric(
    function=coverage,
    title="Coverage (cells answered)",
    task="classify",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "answered"),
    citation="ElYaniv10",
    by_label=within_labels(_share),
)
