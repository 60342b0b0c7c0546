"""Projection: a trajectory in two dimensions, for looking: a curve for each lineage, and arrows along the transitions.

    coordinates (n_obs, 2), pseudotime, fates -> mean place of each lineage's cells along it -> points of a curve
    coordinates, transitions -> where each cell's walk goes -> mean over a grid -> arrows

References: [LaManno18] arrows on a grid.
"""

import numpy as np
from scipy import sparse

from cellwright.dynamics.fates import lineage_end

N_POINTS = 25  # of a curve
WIDTH = 0.06  # of the window that a point is the mean of: a standard deviation, as a share of the pseudotime
N_GRID = 22  # cells of the grid along the longer side
LEAST_CELLS = 0.25  # arrows stand where there are as many cells as a quarter of the median of what is not empty


def lineage_curves(coordinates: np.ndarray, pseudotime: np.ndarray, fates: np.ndarray) -> np.ndarray:
    """Points `(n_tips, N_POINTS, 3)`: pseudotime and the two coordinates, along each lineage.

    A cell counts as its fate says, so that curves of two lineages run together where these have not parted.
    """
    known = np.isfinite(pseudotime) & np.isfinite(fates).all(axis=1)
    time, places = pseudotime[known], coordinates[known].astype(np.float64)
    curves = []
    for fate in fates[known].T:
        at = np.linspace(time.min(), lineage_end(time, fate), N_POINTS)
        weight = np.exp(-0.5 * ((time - at[:, None]) / WIDTH) ** 2) * fate + np.finfo(np.float64).tiny
        curves.append(np.column_stack([at, weight @ places / weight.sum(axis=1, keepdims=True)]))
    return np.stack(curves)


def arrows(coordinates: np.ndarray, transitions: sparse.csr_matrix) -> np.ndarray:
    """Arrows `(n_arrows, 4)`: where each begins, and which way it points, in the unit of the coordinates.

    The longest arrow is as long as a cell of the grid is wide.
    """
    places = coordinates.astype(np.float64)
    moves = _mean_direction(places, transitions)
    low, span = places.min(axis=0), np.ptp(places, axis=0).max() or 1.0
    box = np.minimum(((places - low) / span * N_GRID).astype(np.int64), N_GRID - 1)
    code = box[:, 0] * N_GRID + box[:, 1]
    n = np.bincount(code, minlength=N_GRID**2)
    used = np.flatnonzero(n >= max(2.0, LEAST_CELLS * np.median(n[n > 0])))
    mean = [np.bincount(code, part, N_GRID**2)[used] / n[used] for part in (*places.T, *moves.T)]
    found = np.column_stack(mean)
    longest = np.linalg.norm(found[:, 2:], axis=1).max(initial=0.0)
    found[:, 2:] *= span / N_GRID / (longest or 1.0)
    return found


def _mean_direction(places: np.ndarray, transitions: sparse.csr_matrix) -> np.ndarray:
    """Of each cell, the mean unit vector to where it goes."""
    steps = transitions.tocoo()
    to = places[steps.col] - places[steps.row]
    length = np.linalg.norm(to, axis=1, keepdims=True)
    to = np.divide(to, length, out=np.zeros_like(to), where=length > 0)
    return np.column_stack([np.bincount(steps.row, part * steps.data, len(places)) for part in to.T])
