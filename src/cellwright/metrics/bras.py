"""BRAS, the batch-removal-adapted silhouette: within a label, is a cell as near to all other batches as to its own.

    latent, labels, batches -> directions of the cells of one label -> mean cosine distance within the own batch (a) and
    to the cells of all others (b) -> 1 - |b - a| / max(a, b) -> mean over cells -> mean over labels

A mean of cosine distances is one minus a product with a mean direction: no pair of cells is compared, and the time
grows with the number of cells, not with its square.
"""

import numpy as np

from cellwright.metrics.batch_asw import IN_TWO_BATCHES, mixed_by_label
from cellwright.metrics.labels import Labels
from cellwright.metrics.metric import Metric, mean_over_labels

ROUNDING = 1e-12  # what is left of a distance between equal directions


def bras(latent: np.ndarray, labels_true: Labels, batches: Labels) -> float:
    """The mean over labels of 1 - |s|, s = (b - a) / max(a, b) with cosine distances [Rautenstrauch25].

    b is the mean distance to the cells of all other batches, not of the nearest one as in `batch_asw`: batches that mix
    in pairs no longer look mixed. Directions are from the origin of `latent`. Cells without label or batch are left
    out, and so are labels in one batch only. Raises `DataError` where no label is in two batches.
    """
    return mean_over_labels(bras_by_label(labels_true, latent, batches), "bras", IN_TWO_BATCHES)


def bras_by_label(labels_true: Labels, latent: np.ndarray, batches: Labels) -> dict[str, float]:
    """The mean of 1 - |s| over the cells of each label; NaN for a label in one batch only."""
    return mixed_by_label(_widths, latent, labels_true, batches, "bras")


def _widths(latent: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """s of each cell `(n_obs,)`; every batch has two cells or more."""
    lengths = np.linalg.norm(latent, axis=1, keepdims=True)
    directions = np.divide(latent, lengths, out=np.zeros_like(latent), where=lengths > 0)
    sizes = np.bincount(codes)
    sums = np.stack([directions[codes == code].sum(axis=0) for code in range(len(sizes))])  # (n_batches, n_latent)
    n_own, n_all = sizes[codes], len(codes)
    to_own = n_own - (directions * sums[codes]).sum(axis=1)
    to_all = n_all - directions @ sums.sum(axis=0)
    # a cell's distance from itself is 0, but 1 by this formula for one at the origin, which has no direction
    within = (to_own - (lengths[:, 0] == 0)) / (n_own - 1)
    between = (to_all - to_own) / (n_all - n_own)
    longest = np.maximum(within, between)
    return np.divide(between - within, longest, out=np.zeros(n_all), where=longest > ROUNDING)


BRAS = Metric(
    function=bras,
    title="Batch-removal-adapted silhouette (BRAS)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent", "labels_true", "batches"),
    citation="Rautenstrauch25",
    by_label=bras_by_label,
    mean_over="labels",
)
