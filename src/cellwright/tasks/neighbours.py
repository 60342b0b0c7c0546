"""Nearest neighbours in a latent space, found once and in one way for clustering and for UMAP.

AnnData, use_rep -> latent (n_obs, n_latent) -> indices, distances (n_obs, n_neighbors), the cell itself not among them
"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.errors import DataError, MissingKey, UnsuitableValues

# exact search compares all pairs: 16 s for 50,000 x 30 on two cores; beyond, NN-descent is worth its compilation
EXACT_UP_TO = 50_000


def representation(adata: ad.AnnData, use_rep: str, *, role: str = "use_rep") -> np.ndarray:
    """`adata.obsm[use_rep]` as a dense `(n_obs, n_latent)`.

    Raises `MissingKey` if it is not there and `UnsuitableValues` if it is not finite.
    """
    if use_rep not in adata.obsm:
        raise MissingKey.of("obsm", use_rep, role, adata.obsm.keys())
    values = adata.obsm[use_rep]
    latent = values.toarray() if sparse.issparse(values) else np.asarray(values)
    if not np.isfinite(latent).all():
        raise UnsuitableValues(
            f"obsm[{use_rep!r}] must be finite; {int((~np.isfinite(latent)).any(axis=1).sum())} of {len(latent)} cells "
            "hold NaN or infinity. Look at the training history of the model that made it."
        )
    return latent


def nearest(latent: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and Euclidean distances `(n_obs, n_neighbors)` of the nearest other cells, nearest first.

    Exact up to `EXACT_UP_TO` cells, by NN-descent [Dong11] with `seed` beyond. Asked for more neighbours than there are
    other cells, it gives all of these. Raises `DataError` for a single cell.
    """
    n_obs = len(latent)
    if n_obs < 2:
        raise DataError(f"neighbours need at least two cells; there is {n_obs}. Give more cells.")
    n_neighbors = min(n_neighbors, n_obs - 1)
    if n_obs > EXACT_UP_TO:
        return _nn_descent(latent, n_neighbors, seed)
    from sklearn.neighbors import NearestNeighbors  # takes two seconds, and `reduce` without a UMAP does without

    # without an argument, kneighbors leaves each cell out of its own neighbours, also among identical cells
    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(latent).kneighbors()
    return indices, distances


def _nn_descent(latent: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    # not at the top: the import alone takes six seconds, and only large data need it
    from pynndescent import NNDescent

    indices, distances = NNDescent(latent, n_neighbors=n_neighbors + 1, random_state=seed).neighbor_graph
    # a cell may stand anywhere among identical ones, or not at all: move it to the end, then drop the end
    order = np.argsort(indices == np.arange(len(latent))[:, None], axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def cells_only(n_obs: int) -> ad.AnnData:
    """An AnnData of `n_obs` cells and no values, for functions of scanpy that want one around a graph."""
    return ad.AnnData(obs=pd.DataFrame(index=np.arange(n_obs).astype(str)))


class Known:
    """Neighbours that are known already, in the shape of the scikit-learn transformer that scanpy asks for them."""

    def __init__(self, latent: np.ndarray, n_neighbors: int, seed: int) -> None:
        self.indices, self.distances = nearest(latent, n_neighbors, seed)

    def get_params(self) -> dict[str, int]:
        """Scanpy counts the cell itself as one of them."""
        return {"n_neighbors": self.indices.shape[1] + 1}

    def fit_transform(self, latent: np.ndarray) -> sparse.csr_matrix:
        """Their distances, as a graph."""
        n_obs, width = self.indices.shape
        starts = np.arange(0, n_obs * width + 1, width)
        return sparse.csr_matrix((self.distances.ravel(), self.indices.ravel(), starts), shape=(n_obs, n_obs))
