"""Silhouette: is a cell nearer to its own group than to the next one? Of labels in a latent space, or of a clustering.

    latent (n_obs, n_latent), groups -> width (b - a) / max(a, b) of scored cells -> mean per group -> mean over cells

a is the mean Euclidean distance to the other cells of the own group, b to those of the nearest other group
[Rousseeuw87]. scikit-learn gives the same numbers, but compares either all pairs or a sample with itself. Here a sample
of the cells is scored against all cells, so that large data cost n_obs x SCORED_CELLS and each width remains exact.
"""

from collections.abc import Collection

import numpy as np

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.labels import Labels, cluster_codes, codes_of
from cellwright.metrics.metric import Metric

# all cells are scored up to this many, a sample of them beyond; its standard error is below 1 / sqrt(10,000) = 0.01
SCORED_CELLS = 10_000
# a rare group has at least this many of its cells in the sample, so that its own mean says something
SCORED_PER_GROUP = 100


def silhouette(latent: np.ndarray, labels_true: Labels, *, seed: int = 0) -> float:
    """(mean width + 1) / 2 of the labels in `latent (n_obs, n_latent)`, the "ASW label" of scIB [Luecken22].

    0.5 says that labels overlap. Unlabelled cells are left out, also as neighbours. Beyond `SCORED_CELLS` labelled
    cells the mean is estimated from a sample stratified by label and drawn with `seed`. Raises `DataError` for fewer
    than two labels.
    """
    codes, names = codes_of(labels_true, "labels_true")
    return (_mean_width(latent, codes, names, seed) + 1) / 2


def silhouette_by_label(
    latent: np.ndarray, labels_true: Labels, *, only: Collection[str] | None = None, seed: int = 0
) -> dict[str, float]:
    """(mean width + 1) / 2 over the cells of each label, or of `only` some labels, by the label's name.

    Cells of the other labels are neighbours all the same.
    """
    codes, names = codes_of(labels_true, "labels_true")
    asked = np.array([only is None or name in only for name in names])
    means = (_group_means(latent, codes, names, seed, asked) + 1) / 2
    return {name: float(means[code]) for code, name in enumerate(names) if asked[code]}


def silhouette_cluster(latent: np.ndarray, clusters: Labels, *, seed: int = 0) -> float:
    """The mean width of a clustering in `latent (n_obs, n_latent)`, in [-1, 1]; needs no labels.

    It favours round and few clusters: compare clusterings of one latent space with it, not latent spaces. Noise counts
    as one more cluster. Sampled as `silhouette` is. Raises `DataError` for fewer than two clusters.
    """
    codes, names = cluster_codes(clusters)
    return _mean_width(latent, codes, names, seed)


def _mean_width(latent: np.ndarray, codes: np.ndarray, names: list[str], seed: int) -> float:
    sizes = np.bincount(codes[codes >= 0])
    every = np.ones(len(names), dtype=bool)
    return float(np.average(_group_means(latent, codes, names, seed, every), weights=sizes))


def _group_means(latent: np.ndarray, codes: np.ndarray, names: list[str], seed: int, asked: np.ndarray) -> np.ndarray:
    """The mean width of each group `(n_groups,)` that is asked for, NaN of the others."""
    check_latent(latent, len(codes))
    if len(names) < 2:
        raise DataError(
            f"silhouette needs at least two groups of cells; all are {names[0]!r}. "
            "Choose another column or more clusters."
        )
    latent, codes = latent[codes >= 0].astype(np.float64), codes[codes >= 0]
    rows = scored_rows(codes, np.random.default_rng(seed))
    rows = rows[asked[codes[rows]]]
    n_rows = np.bincount(codes[rows], minlength=len(names))
    sums = np.bincount(codes[rows], weights=widths(latent, codes, rows), minlength=len(names))
    return np.divide(sums, n_rows, out=np.full(len(names), np.nan), where=asked)


def check_latent(latent: np.ndarray, n_obs: int) -> None:
    """Raise `DataError` for another number of cells, `UnsuitableValues` for NaN."""
    if latent.ndim != 2 or len(latent) != n_obs:
        raise DataError(
            f"latent must be (n_obs, n_latent) with a row for each of {n_obs} cells; its shape is {latent.shape}. "
            "Take latent and groups from one AnnData."
        )
    if not np.isfinite(latent).all():
        raise UnsuitableValues("latent must be finite; it holds NaN or infinity. Look at the model's training history.")


def scored_rows(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which cells are scored: all of few, of many a sample in which rare groups have enough."""
    if len(codes) <= SCORED_CELLS:
        return np.arange(len(codes))
    taken = []
    for code, size in enumerate(np.bincount(codes)):
        wanted = max(SCORED_PER_GROUP, round(SCORED_CELLS * size / len(codes)))
        taken.append(rng.choice(np.flatnonzero(codes == code), size=min(size, wanted), replace=False))
    return np.concatenate(taken)


def widths(latent: np.ndarray, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The silhouette width of each of `rows`; 0 for a group of one cell and where all distances are 0."""
    from sklearn.metrics import pairwise_distances_chunked  # takes two seconds, and a report needs only the titles

    sizes, cells = np.bincount(codes), np.arange(len(rows))
    # cells of a group side by side: their distances are then summed where they lie, without a product
    by_group, starts = latent[np.argsort(codes, kind="stable")], np.cumsum(sizes) - sizes
    chunks = pairwise_distances_chunked(
        latent[rows], by_group, reduce_func=lambda block, _: np.add.reduceat(block, starts, axis=1), working_memory=256
    )
    sums, own = np.vstack(list(chunks)), codes[rows]  # (n_rows, n_groups)
    within = sums[cells, own] / np.maximum(sizes[own] - 1, 1)
    between = sums / sizes
    between[cells, own] = np.inf
    nearest = between.min(axis=1)
    longest = np.maximum(within, nearest)
    defined = (sizes[own] > 1) & (longest > 0)
    return np.divide(nearest - within, longest, out=np.zeros(len(rows)), where=defined)


SILHOUETTE_LABEL = Metric(
    function=silhouette,
    title="Silhouette of the labels",
    task="reduce",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent", "labels_true"),
    citation="Luecken22",
    by_label=silhouette_by_label,
    mean_over="cells",
)

SILHOUETTE_CLUSTER = Metric(
    function=silhouette_cluster,
    title="Silhouette of the clusters",
    task="cluster",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("latent", "clusters"),
    citation="Rousseeuw87",
)
