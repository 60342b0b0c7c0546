"""Geodesic pseudotime: how long the shortest way along the cells is from where the trajectory starts.

    lengths (n_obs, n_obs), roots -> mean over roots of the shortest paths -> pseudotime (n_obs,) in [0, 1]

Differs from [Setty19] in that there are no waypoints: the mean over several roots and a smoothed latent take the noise
away that waypoints are for (docs/decisions.md has the figures).

References: [Setty19] shortest paths on a neighbour graph as pseudotime.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph


def geodesic(lengths: sparse.csr_matrix, roots: np.ndarray) -> np.ndarray:
    """The pseudotime of each cell; infinite for cells that no path reaches from any root.

    Of roots in several components each cell counts those that reach it.
    """
    total, n_paths = np.zeros(lengths.shape[0]), np.zeros(lengths.shape[0])
    for root in roots:  # one at a time: of many cells all paths at once are a large table
        found = csgraph.dijkstra(lengths, directed=False, indices=int(root))
        reached = np.isfinite(found)
        total[reached] += found[reached]
        n_paths += reached
    with np.errstate(invalid="ignore", divide="ignore"):
        return to_unit(np.where(n_paths > 0, total / n_paths, np.inf))


def to_unit(pseudotime: np.ndarray) -> np.ndarray:
    """The finite values brought to [0, 1]; zero where all are equal."""
    finite = np.isfinite(pseudotime)
    low, span = pseudotime[finite].min(), np.ptp(pseudotime[finite])
    out = np.full(len(pseudotime), np.inf)
    out[finite] = (pseudotime[finite] - low) / (span or 1.0)
    return out
