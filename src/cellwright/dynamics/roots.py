"""Roots: the cells at which a trajectory starts.

    a cell by its name, a kind of cells, the earliest time, or nothing -> rows of the roots, most central first

References: [Haghverdi16] for the need of a root.
"""

import numpy as np
from scipy.sparse import csgraph

from cellwright.dynamics.cell_graph import CellGraph

EARLIEST = 0.05  # share of the cells with a known time, among which the root is
N_ROOTS = 20  # of a kind of cells: paths from several say more than from one


def most_central(latent: np.ndarray, rows: np.ndarray, n: int = N_ROOTS) -> np.ndarray:
    """The `n` of the rows that are nearest to their median in the latent, nearest first."""
    middle = np.median(latent[rows], axis=0)
    apart = ((latent[rows] - middle) ** 2).sum(axis=1)
    return rows[np.argsort(apart, kind="stable")[:n]]


def earliest(time: np.ndarray) -> np.ndarray:
    """The rows of the earliest cells: `EARLIEST` of those with a time, and all with the same time as these."""
    known = time[np.isfinite(time)]
    return np.flatnonzero(time <= np.quantile(known, EARLIEST))


def extremes(graph: CellGraph) -> tuple[int, int]:
    """The two ends of the largest component: the farthest cell of a path from anywhere, and the farthest from that.

    Which of them is the start nothing in the graph says.
    """
    inside = np.flatnonzero(graph.components == 0)
    first = _farthest(graph, int(inside[0]))
    second = _farthest(graph, first)
    return first, second


def _farthest(graph: CellGraph, row: int) -> int:
    lengths = csgraph.dijkstra(graph.lengths, directed=False, indices=row)
    return int(np.argmax(np.where(np.isfinite(lengths), lengths, -1)))
