"""Label transfer: do cells of one modality get the right label from the nearest cells of another one.

latent_reference, labels_reference -> the five nearest of each row of latent -> their most frequent label
-> accuracy and macro F1 against labels_true
"""

import numpy as np

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.accuracy import accuracy
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.macro_f1 import classified_f1_by_label, macro_f1
from cellwright.metrics.macro_recall import recall_by_label
from cellwright.metrics.metric import Metric

N_NEIGHBOURS = 5  # as SCOT's label transfer


def transfer_accuracy(
    latent_reference: np.ndarray, labels_reference: Labels, latent: np.ndarray, labels_true: Labels
) -> float:
    """The share of cells that get their label from the five nearest reference cells [Demetci22].

    `latent_reference (n_reference, n_latent)` and `latent (n_obs, n_latent)` lie in one space; no rows belong together.
    Cells without a label (NaN) are left out on either side. A frequent label can hide that a rare one is lost: read it
    beside the macro F1. Raises `DataError` where the spaces differ or no cell is labelled, `UnsuitableValues` for NaN.
    """
    return accuracy(labels_true, transferred(latent_reference, labels_reference, latent))


def transfer_f1(
    latent_reference: np.ndarray, labels_reference: Labels, latent: np.ndarray, labels_true: Labels
) -> float:
    """The macro F1 of the same labels: every label that occurs, of the reference too, counts the same [Opitz19]."""
    return macro_f1(labels_true, transferred(latent_reference, labels_reference, latent))


def transferred(
    latent_reference: np.ndarray, labels_reference: Labels, latent: np.ndarray, n_neighbors: int = N_NEIGHBOURS
) -> np.ndarray:
    """The most frequent label `(n_obs,)` among the nearest labelled reference cells.

    Among equally frequent ones the label wins whose cells are nearer, so that no name and no order decides.
    """
    from sklearn.neighbors import NearestNeighbors  # takes two seconds, and a report needs only the titles

    codes, names = codes_of(labels_reference, "labels_reference")
    _check(latent_reference, codes, latent)
    reference, codes = latent_reference[codes >= 0], codes[codes >= 0]
    if not len(latent):
        return np.empty(0, dtype=object)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(reference)), algorithm="brute").fit(reference)
    nearest = codes[search.kneighbors(latent, return_distance=False)]  # (n_obs, n_neighbors)
    # a vote each, and less than one in all for coming early: sums of different powers of two are never equal
    votes = 1 + 0.5 ** np.arange(2, nearest.shape[1] + 2)
    counts = np.stack([((nearest == code) * votes).sum(axis=1) for code in range(len(names))], axis=1)
    return np.asarray(names, dtype=object)[counts.argmax(axis=1)]


def _check(latent_reference: np.ndarray, codes: np.ndarray, latent: np.ndarray) -> None:
    if latent_reference.ndim != 2 or latent.ndim != 2 or latent_reference.shape[1] != latent.shape[1]:
        raise DataError(
            "label transfer needs latent_reference and latent to be (n_obs, n_latent) in one space; their shapes are "
            f"{latent_reference.shape} and {latent.shape}. Encode both by one model."
        )
    if len(latent_reference) != len(codes):
        raise DataError(
            f"labels_reference must be of the cells of latent_reference; they have {len(codes)} and "
            f"{len(latent_reference)} entries. Take both from one AnnData."
        )
    for role, values in (("latent_reference", latent_reference), ("latent", latent)):
        if not np.isfinite(values).all():
            raise UnsuitableValues(
                f"{role} must be finite; it holds NaN or infinity. Look at the model's training history."
            )


def _accuracy_by_label(
    labels_true: Labels, latent_reference: np.ndarray, labels_reference: Labels, latent: np.ndarray
) -> dict[str, float]:
    return recall_by_label(labels_true, transferred(latent_reference, labels_reference, latent))


def _f1_by_label(
    labels_true: Labels, latent_reference: np.ndarray, labels_reference: Labels, latent: np.ndarray
) -> dict[str, float]:
    return classified_f1_by_label(labels_true, transferred(latent_reference, labels_reference, latent))


TRANSFER_ACCURACY = Metric(
    function=transfer_accuracy,
    title="Accuracy of transferred labels",
    task="align",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent_reference", "labels_reference", "latent", "labels_true"),
    citation="Demetci22",
    by_label=_accuracy_by_label,
)

TRANSFER_F1 = Metric(
    function=transfer_f1,
    title="Macro F1 of transferred labels",
    task="align",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent_reference", "labels_reference", "latent", "labels_true"),
    citation="Opitz19",
    by_label=_f1_by_label,
)
