"""Transport: which cells of the next time point the cells of one could have become, by the least movement.

    latent, time (n_obs,) -blocks of cells of two successive times-> Sinkhorn plan, its largest entries
    -> transitions (n_obs, n_obs) from each time to the next; at the last time, and in part at all, along the graph

Cost is the squared distance in units of its median, entropy `EPSILON` [Schiebinger19]. Two time points are divided at
random into blocks of at most `BLOCK_CELLS` x `BLOCK_CELLS` pairs, a plan for each: nothing is quadratic in the cells.
Both times count as whole: growth and death are not modelled, and of a kind that divides faster too much seems to come
from others.

References: [Cuturi13] the entropic plan; [Schiebinger19] for cells at time points; [Lange22] the walk along the graph.
"""

import itertools
import math

import numpy as np
from scipy import sparse

from cellwright.dynamics.cell_graph import CellGraph
from cellwright.dynamics.transitions import stochastic

EPSILON = 0.05
BLOCK_CELLS = 1_000  # of each of two times as large as each other
ITERATIONS, TOLERANCE = 500, 1e-4  # until the plan's sums over rows are so near to what they must be, relative
FARTHEST = 30.0  # medians: beyond, exp(-cost / EPSILON) would be zero
KEPT = 30  # largest entries of a row, for each later cell that one earlier cell becomes on average
ALONG_GRAPH = 0.2  # share of a step along the graph


def transport(latent: np.ndarray, time: np.ndarray, graph: CellGraph, rng: np.random.Generator) -> sparse.csr_matrix:
    """The transitions; rows sum to one. Cells without a time (NaN), and those of the last, walk along the graph."""
    moves = sparse.csr_matrix((graph.n_obs, graph.n_obs))
    known = np.unique(time[np.isfinite(time)])
    for early, late in itertools.pairwise(known):
        moves = moves + _between(latent, np.flatnonzero(time == early), np.flatnonzero(time == late), rng)
    has_moves = sparse.diags(np.where(np.asarray(moves.sum(axis=1)).ravel() > 0, 1 - ALONG_GRAPH, 0.0))
    walk = stochastic(_within_time(graph, time))
    rest = sparse.diags(1 - has_moves.diagonal())
    return (has_moves @ stochastic(moves) + rest @ walk).tocsr()


def plan(cost: np.ndarray) -> np.ndarray:
    """The entropic plan `(n, m)` between two sets of equal total weight, with the cost in units of its median."""
    kernel = np.exp(-np.minimum(cost, FARTHEST) / EPSILON)
    n, m = cost.shape
    over_rows, over_columns = np.ones(n), np.ones(m)
    for _ in range(ITERATIONS):
        over_rows = (1 / n) / (kernel @ over_columns)
        over_columns = (1 / m) / (kernel.T @ over_rows)
        if np.abs(over_rows * (kernel @ over_columns) * n - 1).max() < TOLERANCE:
            break
    return over_rows[:, None] * kernel * over_columns


def _between(latent: np.ndarray, early: np.ndarray, late: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """The largest entries of the plans between blocks of two time points."""
    # by pairs: by cells of the larger time, one small time would be torn into blocks that have each next to none of it
    n_blocks = math.ceil(math.sqrt(len(early) * len(late)) / BLOCK_CELLS)
    n_blocks = min(n_blocks, len(early), len(late))
    n_kept = KEPT * -(-len(late) // len(early))
    entries = []
    pairs = zip(
        np.array_split(rng.permutation(early), n_blocks), np.array_split(rng.permutation(late), n_blocks), strict=True
    )
    for first, second in pairs:
        apart = _squared(latent[first], latent[second])
        found = plan(apart / (np.median(apart) or 1.0))
        kept = np.argsort(-found, axis=1)[:, :n_kept]
        weight = np.take_along_axis(found, kept, axis=1)
        entries.append((weight.ravel(), np.repeat(first, kept.shape[1]), second[kept].ravel()))
    values, rows, columns = (np.concatenate(part) for part in zip(*entries, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(latent), len(latent)))


def _squared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    # in float32 exp(-FARTHEST / EPSILON) is zero, and of cells far from the origin the difference is lost
    first, second = first.astype(np.float64), second.astype(np.float64)
    products = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.maximum(products, 0)


def _within_time(graph: CellGraph, time: np.ndarray) -> sparse.csr_matrix:
    """The affinities without those to cells of earlier times."""
    order = np.where(np.isfinite(time), time, np.inf)
    not_earlier = order[graph.indices] >= np.where(np.isfinite(time), time, -np.inf)[:, None]
    return graph.affinities.multiply(graph.of_values(not_earlier.astype(np.float64))).tocsr()
