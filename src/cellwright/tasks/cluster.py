"""Cluster: groups of cells in a latent space, by k-means, DBSCAN or Leiden.

    obsm[use_rep] (n_obs, n_latent) -> cluster_labels -> obs[key_added]: "0" (the largest), "1", ...; "-1" is noise

What is not given (number of clusters, resolution, radius) is chosen from the latent space alone, never from labels.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

import anndata as ad
import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator
from scipy import sparse
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import pairwise_distances, silhouette_score

from cellwright.core.options import Options
from cellwright.errors import DataError, OptionError
from cellwright.metrics.ari import ari
from cellwright.metrics.labels import Labels
from cellwright.tasks.neighbours import cells_only, nearest, representation

NOISE = "-1"
# candidates are compared on at most this many cells: all pairwise distances of 3,000 cells are 72 MB
COMPARED_CELLS = 3_000
N_NEIGHBORS = 15
CANDIDATE_N_CLUSTERS = tuple(range(2, 21))
CANDIDATE_RESOLUTIONS = tuple(step / 10 for step in range(1, 21))

_ONLY_FOR = {"n_clusters": "kmeans", "resolution": "leiden", "radius": "dbscan"}


class ClusterOptions(Options):
    """How cells are clustered."""

    method: Literal["kmeans", "dbscan", "leiden"] = Field("kmeans", description="leiden needs the extra of that name")
    n_clusters: int | None = Field(None, ge=1, description="k-means: how many; None chooses 2 to 20 by silhouette")
    resolution: float | None = Field(
        None, gt=0, description="Leiden: higher gives more; None chooses 0.1 to 2 by silhouette"
    )
    radius: float | None = Field(
        None, gt=0, description="DBSCAN: how near neighbours are; None takes the k-distance knee"
    )
    min_samples: int = Field(10, ge=2, description="DBSCAN: cells within the radius, itself included, that make a core")
    n_neighbors: int = Field(N_NEIGHBORS, ge=1, description="Leiden: nearest other cells that each cell is linked to")
    seed: int = Field(
        0, ge=0, description="of k-means' starts, Leiden's order and the cells that candidates are compared on"
    )

    @field_validator("n_clusters", "resolution", "radius")
    @classmethod
    def _belongs_to_the_method(cls, value: float | None, info: ValidationInfo) -> float | None:
        method, owner = info.data.get("method"), _ONLY_FOR[str(info.field_name)]
        if value is not None and method not in (None, owner):
            raise ValueError(f"must be left out for method {method!r}, because only {owner!r} reads it")
        return value


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering and how it came about."""

    labels: np.ndarray  # (n_obs,) str: "0" is the largest cluster, "-1" noise
    chosen: dict[str, float]  # the n_clusters, resolution or radius that was used
    candidates: dict[float, float]  # silhouette of each value that was tried; NaN where it gave a single cluster

    @property
    def n_clusters(self) -> int:
        """How many clusters there are; noise is none."""
        return len(np.setdiff1d(self.labels, [NOISE]))


def cluster(
    adata: ad.AnnData,
    options: ClusterOptions = ClusterOptions(),  # noqa: B008  (frozen)
    *,
    use_rep: str,
    key_added: str = "cluster",
) -> None:
    """Cluster the cells of `obsm[use_rep]`.

    Writes `obs[key_added]` (categorical of strings) and `uns[key_added]`: `options`, `use_rep`, `n_clusters`, `chosen`,
    `candidates` (`value` and `silhouette`, arrays of equal length), `seed`, `version`. Nothing else is changed. Raises
    `MissingKey` if `obsm` has no `use_rep`, `DataError` if `obs[key_added]` is a column that this did not write, and
    what `cluster_labels` raises.
    """
    if key_added in adata.obs and key_added not in adata.uns:
        raise DataError(
            f"obs already has {key_added!r}, which `cluster` did not write; give another key_added, or remove it."
        )
    found = cluster_labels(representation(adata, use_rep), options)
    names = [NOISE, *map(str, range(found.n_clusters))]
    adata.obs[key_added] = pd.Categorical(found.labels, categories=[n for n in names if n in found.labels])
    adata.uns[key_added] = {
        # a None cannot be written to every version of the file format
        "options": options.model_dump(exclude_none=True),
        "use_rep": use_rep,
        "n_clusters": found.n_clusters,
        "chosen": found.chosen,
        "candidates": {
            "value": np.fromiter(found.candidates.keys(), dtype=np.float64),
            "silhouette": np.fromiter(found.candidates.values(), dtype=np.float64),
        },
        "seed": options.seed,
        "version": version("cellwright"),
    }


def cluster_labels(latent: np.ndarray, options: ClusterOptions) -> Clustering:
    """Cluster the rows of `latent (n_obs, n_latent)`.

    - kmeans: ten starts. Without `n_clusters`, 2 to 20 are compared by their silhouette.
    - dbscan [Ester96]: without `radius`, the knee of the sorted distances to the `min_samples`-th cell.
    - leiden [Traag19]: modularity with a resolution, on the graph of the nearest neighbours weighted by the Jaccard
      index of their neighbourhoods [Levine15]. Without `resolution`, 0.1 to 2.0 are compared by their silhouette.

    The silhouette prefers few, well separated clusters; give the value where finer ones are wanted. Candidates are
    compared on at most `COMPARED_CELLS` cells drawn with the seed. Raises `DataError` for too few cells, `OptionError`
    for Leiden without igraph.
    """
    if len(latent) < 2:
        raise DataError(f"clustering needs at least two cells; there is {len(latent)}. Give more cells.")
    return _METHODS[options.method](latent, options)


def best_leiden_by_labels(
    latent: np.ndarray, labels: Labels, resolutions: Iterable[float] = CANDIDATE_RESOLUTIONS, *, seed: int = 0
) -> tuple[float, float]:
    """The highest adjusted Rand index that Leiden reaches with `labels` over the resolutions, and that resolution.

    An oracle, for comparison with published tables only: it looks at the labels to choose. A clustering of cells whose
    types are unknown cannot do this, so it says what a latent space allows, not what a user gets.
    """
    indices, _ = nearest(latent, N_NEIGHBORS, seed)
    found = leiden_clusters(indices, resolutions, seed=seed)
    scores = {resolution: ari(labels, codes) for resolution, codes in found.items()}
    best = max(scores, key=scores.__getitem__)
    return scores[best], best


def leiden_clusters(indices: np.ndarray, resolutions: Iterable[float], *, seed: int = 0) -> dict[float, np.ndarray]:
    """Leiden's clusters `(n_obs,)`, as codes, at each resolution, of neighbours `indices (n_obs, n_neighbors)`.

    For whoever has found the neighbours already; each cell's own row is not among them. Raises `OptionError` without
    igraph.
    """
    _require_igraph()
    graph = _shared_neighbours(indices)
    return {resolution: _leiden_codes(graph, resolution, seed) for resolution in resolutions}


def _kmeans(latent: np.ndarray, options: ClusterOptions) -> Clustering:
    def labels_of(cells: np.ndarray, n_clusters: int) -> np.ndarray:
        return KMeans(n_clusters, n_init=10, random_state=options.seed).fit_predict(cells)

    n_clusters, candidates = options.n_clusters, {}
    if n_clusters is None:
        # k-means is fitted to the compared cells only, for each candidate; the best is then fitted to all
        cells = latent[_compared(len(latent), options.seed)]
        n_distinct = len(np.unique(cells, axis=0))
        tried: dict[float, np.ndarray] = {k: labels_of(cells, k) for k in CANDIDATE_N_CLUSTERS if k <= n_distinct}
        candidates = _silhouettes(cells, tried)
        n_clusters = int(_best(candidates, otherwise=1))
    if n_clusters > len(latent):
        raise DataError(f"n_clusters must be at most the number of cells, {len(latent)}; it is {n_clusters}. Lower it.")
    return Clustering(_by_size(labels_of(latent, n_clusters)), {"n_clusters": n_clusters}, candidates)


def _dbscan(latent: np.ndarray, options: ClusterOptions) -> Clustering:
    radius = options.radius or _knee(nearest(latent, options.min_samples - 1, options.seed)[1][:, -1])
    codes = DBSCAN(eps=radius, min_samples=options.min_samples).fit_predict(latent)
    return Clustering(_by_size(codes), {"radius": radius}, {})


def _knee(distances: np.ndarray) -> float:
    """The distance at the point of the sorted curve that lies farthest below the line between its ends [Satopaa11]."""
    curve = np.sort(distances).astype(np.float64)
    line = np.linspace(curve[0], curve[-1], len(curve))
    # where cells coincide the curve is 0, and DBSCAN wants a radius above it
    return max(float(curve[np.argmax(line - curve)]), np.finfo(np.float64).tiny)


def _leiden(latent: np.ndarray, options: ClusterOptions) -> Clustering:
    _require_igraph()
    indices, _ = nearest(latent, options.n_neighbors, options.seed)
    if options.resolution is not None:
        codes = leiden_clusters(indices, [options.resolution], seed=options.seed)[options.resolution]
        return Clustering(_by_size(codes), {"resolution": options.resolution}, {})
    rows = _compared(len(latent), options.seed)
    found = leiden_clusters(indices, CANDIDATE_RESOLUTIONS, seed=options.seed)
    candidates = _silhouettes(latent[rows], {r: codes[rows] for r, codes in found.items()})
    resolution = _best(candidates, otherwise=1.0)
    return Clustering(_by_size(found[resolution]), {"resolution": resolution}, candidates)


def _require_igraph() -> None:
    if find_spec("igraph") is None:
        raise OptionError(
            "method of ClusterOptions 'leiden' needs igraph, which is not installed; "
            "run pip install 'cellwright[leiden]', or use method 'kmeans'."
        )


def _shared_neighbours(indices: np.ndarray) -> sparse.csr_matrix:
    """Nearest neighbours as a graph; an edge weighs the share of neighbours (and selves) that its cells have in common.

    UMAP's weights would do as well, but cost ten seconds of import and compilation in every process.
    """
    n_obs, width = indices.shape
    around = np.column_stack([np.arange(n_obs), indices])  # (n_obs, width + 1): each cell and its neighbours
    shared = np.column_stack([_n_shared(around, around[column]) for column in indices.T])
    jaccard = shared / (2 * (width + 1) - shared)
    starts = np.arange(0, n_obs * width + 1, width)
    directed = sparse.csr_matrix((jaccard.ravel(), indices.ravel(), starts), shape=(n_obs, n_obs))
    return directed.maximum(directed.T)


def _n_shared(around: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many entries each row of `around` shares with the same row of `other`; entries of a row are distinct."""
    return (around[:, :, None] == other[:, None, :]).sum(axis=(1, 2))


def _leiden_codes(graph: sparse.csr_matrix, resolution: float, seed: int) -> np.ndarray:
    import scanpy as sc  # takes five seconds of CPU, and k-means does without

    cells = cells_only(graph.shape[0])
    sc.tl.leiden(cells, resolution, adjacency=graph, random_state=seed, directed=False, n_iterations=2, flavor="igraph")
    return cells.obs["leiden"].cat.codes.to_numpy()


def _compared(n_obs: int, seed: int) -> np.ndarray:
    """The rows on which candidates are compared, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(n_obs)[:COMPARED_CELLS])


def _silhouettes(cells: np.ndarray, tried: Mapping[float, np.ndarray]) -> dict[float, float]:
    """The mean silhouette of each clustering of `cells`; NaN for a single cluster, or one per cell."""
    distances = pairwise_distances(cells.astype(np.float64))
    return {
        value: float(silhouette_score(distances, codes, metric="precomputed"))
        if 1 < len(np.unique(codes)) < len(cells)
        else np.nan
        for value, codes in tried.items()
    }


def _best(candidates: dict[float, float], otherwise: float) -> float:
    """The candidate with the highest silhouette, the smallest among equals; `otherwise` if none has one."""
    defined = {value: score for value, score in candidates.items() if not np.isnan(score)}
    return max(defined, key=defined.__getitem__) if defined else otherwise


def _by_size(codes: np.ndarray) -> np.ndarray:
    """Codes as strings, "0" for the largest cluster, the first cell's among equals; negative is noise."""
    found, first, size = np.unique(codes[codes >= 0], return_index=True, return_counts=True)
    rank = np.empty(len(found), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(found))
    names = np.full(len(codes), NOISE, dtype=object)
    names[codes >= 0] = rank[np.searchsorted(found, codes[codes >= 0])].astype(str)
    return names.astype(str)


_METHODS: dict[str, Callable[[np.ndarray, ClusterOptions], Clustering]] = {
    "kmeans": _kmeans,
    "dbscan": _dbscan,
    "leiden": _leiden,
}
