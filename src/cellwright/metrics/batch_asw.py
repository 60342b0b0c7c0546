"""Batch ASW: within a label, is a cell as near to another batch as to its own.

latent, labels, batches -> cells of one label -> silhouette width s of the batches -> 1 - |s| -> mean over cells
-> mean over labels
"""

from collections.abc import Callable

import numpy as np

from cellwright.metrics.labels import Labels, labels_and_batches
from cellwright.metrics.metric import Metric, mean_over_labels
from cellwright.metrics.silhouette import check_latent, scored_rows, widths

Widths = Callable[[np.ndarray, np.ndarray], np.ndarray]  # latent and batches of one label -> a width per scored cell

IN_TWO_BATCHES = "two cells or more in each of two batches"


def batch_asw(latent: np.ndarray, labels_true: Labels, batches: Labels, *, seed: int = 0) -> float:
    """The mean over labels of 1 - |s|, s the silhouette width of the batches within the label [Luecken22].

    1 says that a cell is as near to the nearest other batch as to its own; with three batches or more it is also
    reached where each batch mixes with one other only [Rautenstrauch25], therefore read `bras` beside it. Cells without
    label or batch are left out, and so are labels in one batch only. Beyond `silhouette.SCORED_CELLS` cells of a label
    a sample drawn with `seed` is scored. Raises `DataError` where no label is in two batches.
    """
    return mean_over_labels(batch_asw_by_label(labels_true, latent, batches, seed=seed), "batch_asw", IN_TWO_BATCHES)


def batch_asw_by_label(labels_true: Labels, latent: np.ndarray, batches: Labels, *, seed: int = 0) -> dict[str, float]:
    """The mean of 1 - |s| over the cells of each label; NaN for a label in one batch only."""

    def of_sample(cells: np.ndarray, codes: np.ndarray) -> np.ndarray:
        return widths(cells, codes, scored_rows(codes, np.random.default_rng(seed)))

    return mixed_by_label(of_sample, latent, labels_true, batches, "batch_asw")


def mixed_by_label(
    of_batches: Widths, latent: np.ndarray, labels_true: Labels, batches: Labels, metric: str
) -> dict[str, float]:
    """The mean of 1 - |width| within each label, by its name; NaN where fewer than two batches have two of its cells.

    A cell that is alone of its batch has no distance within it. scikit-learn and scIB set its width to 0, which would
    count as mixed perfectly; it is left out.
    """
    label, batch, names = labels_and_batches(labels_true, batches)
    check_latent(latent, len(label))
    return {
        name: _mixed(of_batches, latent[label == code].astype(np.float64), batch[label == code])
        for code, name in enumerate(names)
    }


def _mixed(of_batches: Widths, latent: np.ndarray, batch: np.ndarray) -> float:
    sizes = np.bincount(batch[batch >= 0])
    rows = np.flatnonzero(batch >= 0)
    rows = rows[sizes[batch[rows]] > 1]
    _, codes = np.unique(batch[rows], return_inverse=True)
    if not len(rows) or codes.max() < 1:
        return float("nan")
    return float(np.mean(1 - np.abs(of_batches(latent[rows], codes))))


BATCH_ASW = Metric(
    function=batch_asw,
    title="Batch silhouette within labels",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent", "labels_true", "batches"),
    citation="Luecken22",
    by_label=batch_asw_by_label,
    mean_over="labels",
)
