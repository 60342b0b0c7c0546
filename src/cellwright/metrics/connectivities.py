"""Connectivities: how strongly each pair of neighbours belongs together, as UMAP weighs the edges of its graph.

    neighbours (n_obs, n_neighbors) -> exp(-(d - nearest) / scale), with a scale per cell -> either way (n_obs, n_obs)

umap-learn makes the same graph; its import compiles for ten seconds, and here no embedding follows.
"""

from typing import TYPE_CHECKING

import numpy as np

from cellwright.metrics.neighbours import Neighbours

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_STEPS = 64  # of a bisection, as in umap-learn
SMALLEST_SCALE = 1e-3  # of the mean distance, as in umap-learn


def connectivities(neighbours: Neighbours) -> "csr_matrix":
    """The symmetric graph `(n_obs, n_obs)` of UMAP [McInnes18, sections 3.1 and 4.1].

    The membership of a neighbour is exp(-max(0, d - rho) / sigma), rho the distance of the nearest one that does not
    coincide with the cell, sigma such that a cell's memberships sum to log2 of the number of neighbours, itself counted. An edge
    holds where either cell has it: a + b - a b.
    """
    directed = neighbours.graph(_memberships(neighbours.distances.astype(np.float64)))
    directed.sort_indices()
    other = directed.T.tocsr()
    return directed + other - directed.multiply(other)


def _memberships(distances: np.ndarray) -> np.ndarray:
    nearest = np.where(distances > 0, distances, np.inf).min(axis=1, keepdims=True)
    beyond = np.maximum(distances - np.where(np.isinf(nearest), 0, nearest), 0)
    target = np.log2(distances.shape[1] + 1)
    sigma, low, high = np.ones((3, len(distances), 1))
    low[:], high[:] = 0, np.inf
    for _ in range(N_STEPS):
        too_wide = np.exp(-beyond / sigma).sum(axis=1, keepdims=True) > target
        high, low = np.where(too_wide, sigma, high), np.where(too_wide, low, sigma)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    # where all neighbours coincide no scale has that sum
    smallest = SMALLEST_SCALE * np.maximum(distances.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.exp(-beyond / np.maximum(sigma, smallest))
