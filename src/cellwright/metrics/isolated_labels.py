"""Isolated labels: are the labels that occur in the fewest batches still told from all others.

latent, labels, batches -> labels in the fewest batches -> (mean silhouette width + 1) / 2 of each -> mean
"""

import numpy as np

from cellwright.metrics.labels import Labels, labels_and_batches
from cellwright.metrics.metric import Metric
from cellwright.metrics.silhouette import silhouette_by_label


def isolated_labels(latent: np.ndarray, labels_true: Labels, batches: Labels, *, seed: int = 0) -> float:
    """The mean over isolated labels of their scaled silhouette among all labels, as scib-metrics [Luecken22].

    Isolated are the labels in the fewest batches; where every label is in every batch these are all of them, and the
    value is the silhouette of labels that count alike. Cells without a label are left out. Raises `DataError` for
    fewer than two labels, and where no labelled cell has a batch.
    """
    return float(np.mean(list(isolated_by_label(labels_true, latent, batches, seed=seed).values())))


def isolated_by_label(labels_true: Labels, latent: np.ndarray, batches: Labels, *, seed: int = 0) -> dict[str, float]:
    """The scaled silhouette of each isolated label, by its name; the others are left out."""
    isolated = in_fewest_batches(labels_true, batches)
    by_label = silhouette_by_label(latent, labels_true, only=isolated, seed=seed)
    return {name: by_label[name] for name in isolated}


def in_fewest_batches(labels_true: Labels, batches: Labels) -> list[str]:
    """The labels that cells of the fewest batches have; a label whose cells all lack a batch is none."""
    label, batch, names = labels_and_batches(labels_true, batches)
    known = (label >= 0) & (batch >= 0)
    pairs = np.unique(np.stack([label[known], batch[known]]), axis=1)
    n_batches = np.bincount(pairs[0], minlength=len(names))
    fewest = n_batches[n_batches > 0].min()
    return [name for name, n in zip(names, n_batches, strict=True) if n == fewest]


ISOLATED_LABELS = Metric(
    function=isolated_labels,
    title="Silhouette of isolated labels",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent", "labels_true", "batches"),
    citation="Luecken22",
    by_label=isolated_by_label,
    mean_over="labels",
)
