"""Cell graph: the nearest neighbours of each cell, as lengths for paths and as affinities for random walks.

    indices, distances (n_obs, n_neighbors) -> lengths, affinities: symmetric CSR (n_obs, n_obs) -> components

Affinities fall with the distance in units of a cell's own neighbourhood, so that dense and sparse regions are walked
alike. Differs from [ZelnikManor04] in the exponent, which is the distance and not its square: fewer edges vanish.

References: [ZelnikManor04] a scale of its own for each point; [vanDijk18] smoothing by a random walk.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from cellwright.errors import DataError

SCALE_AT = 3  # the scale of a cell is the distance to its neighbour at a third of the list
STAYS = 0.5  # of a step of the smoothing: the share that is the cell itself


@dataclass(frozen=True, eq=False)
class CellGraph:
    """The nearest neighbours of each cell, nearest first, the cell itself not among them."""

    indices: np.ndarray  # (n_obs, n_neighbors)
    distances: np.ndarray  # (n_obs, n_neighbors)
    further: sparse.csr_matrix | None = None  # symmetric lengths between cells that are no neighbours of each other

    def __post_init__(self) -> None:
        if self.indices.shape != self.distances.shape or self.indices.ndim != 2:
            raise DataError(
                "indices and distances of CellGraph must both be (n_obs, n_neighbors); they are "
                f"{self.indices.shape} and {self.distances.shape}. Give one distance per neighbour."
            )

    @property
    def n_obs(self) -> int:
        """Cells."""
        return len(self.indices)

    def of_values(self, values: np.ndarray) -> sparse.csr_matrix:
        """A CSR `(n_obs, n_obs)` that has `values (n_obs, n_neighbors)` from each cell to its neighbours."""
        n_obs, width = self.indices.shape
        # copies, for SciPy sorts a matrix in place, and the lists are in the order of distance
        starts = np.arange(0, n_obs * width + 1, width)
        return sparse.csr_matrix((values.ravel().copy(), self.indices.ravel().copy(), starts), shape=(n_obs, n_obs))

    @cached_property
    def lengths(self) -> sparse.csr_matrix:
        """The distance between cells of which one is a neighbour of the other; none is zero, which would be no edge."""
        nearest_apart = np.finfo(np.float64).tiny
        graph = self.of_values(np.maximum(self.distances.astype(np.float64), nearest_apart))
        graph = graph.maximum(graph.T)
        return (graph if self.further is None else graph.maximum(self.further)).tocsr()

    @cached_property
    def outgoing(self) -> sparse.csr_matrix:
        """exp(-distance / scale of the cell) from each cell to its neighbours: not symmetric."""
        beyond = self.distances[:, max(1, self.distances.shape[1] // SCALE_AT) - 1 :].astype(np.float64)
        # among identical cells it is the distance to the first that is not, so that the unit of the latent never counts
        scale = np.where(beyond > 0, beyond, np.inf).min(axis=1)
        return self.of_values(np.exp(-self.distances / scale[:, None]))

    @cached_property
    def affinities(self) -> sparse.csr_matrix:
        """The same both ways: symmetric, positive where one of two cells is a neighbour of the other."""
        return (self.outgoing + self.outgoing.T).tocsr()

    @cached_property
    def components(self) -> np.ndarray:
        """Which connected component each cell belongs to, `(n_obs,)`; 0 is the largest."""
        _, found = csgraph.connected_components(self.lengths, directed=False)
        by_size = np.argsort(-np.bincount(found), kind="stable")
        rank = np.empty_like(by_size)
        rank[by_size] = np.arange(len(by_size))
        return rank[found]


def skeleton(graph: CellGraph, lengths: sparse.csr_matrix) -> sparse.csr_matrix:
    """The lengths between cells that are neighbours of each other, and a shortest tree that keeps all connected.

    A cell between two branches, or at the thin end of one, has neighbours in the other, which does not have it: with
    such edges branches touch where they are far from their fork.
    """
    one_way = graph.of_values(np.maximum(graph.distances.astype(np.float64), np.finfo(np.float64).tiny))
    tree = csgraph.minimum_spanning_tree(lengths)
    return one_way.minimum(one_way.T).maximum(tree).maximum(tree.T).tocsr()


def smoothed(latent: np.ndarray, graph: CellGraph, n_steps: int) -> np.ndarray:
    """The latent `(n_obs, n_latent)` averaged along `n_steps` steps of a lazy random walk on the graph.

    A path through noisy points is long because of the noise; through their local means it is as long as the way.
    """
    walk = sparse.diags(1 / np.asarray(graph.affinities.sum(axis=1)).ravel()) @ graph.affinities
    latent = latent.astype(np.float64)
    for _ in range(n_steps):
        latent = STAYS * latent + (1 - STAYS) * (walk @ latent)
    return latent


def reconnected(graph: CellGraph, before: CellGraph, latent: np.ndarray) -> CellGraph:
    """The graph of a smoothed latent with the edges of the graph `before` that lead between its parts.

    Where cells are few, smoothing draws both sides of a gap apart, and what was one graph falls into two.
    """
    component = graph.components
    rows = np.repeat(np.arange(graph.n_obs), before.indices.shape[1])
    columns = before.indices.ravel()
    between = component[rows] != component[columns]
    if not between.any():
        return graph
    rows, columns = rows[between], columns[between]
    apart = np.maximum(np.linalg.norm(latent[rows] - latent[columns], axis=1), np.finfo(np.float64).tiny)
    edges = sparse.csr_matrix((apart, (rows, columns)), shape=(graph.n_obs, graph.n_obs))
    return replace(graph, further=edges.maximum(edges.T).tocsr())


def bridged(graph: CellGraph, latent: np.ndarray) -> sparse.csr_matrix:
    """The lengths, with the shortest edges that make the graph one: a spanning tree over its components.

    Between two components it is the edge between their two nearest cells. Raises nothing: a connected graph is itself.
    """
    lengths, component = graph.lengths, graph.components
    while (n := component.max() + 1) > 1:
        first, second, length = _shortest_way_out(latent, component == n - 1)
        edge = sparse.csr_matrix(([length], ([first], [second])), shape=lengths.shape)
        lengths = lengths.maximum(edge.maximum(edge.T)).tocsr()
        # the smallest component is joined to what it is nearest to, which keeps its number
        component = np.where(component == n - 1, component[second], component)
    return lengths


def _shortest_way_out(latent: np.ndarray, inside: np.ndarray) -> tuple[int, int, float]:
    """The two nearest cells of which one is inside, and how far they are apart."""
    from scipy.spatial import KDTree

    within, without = np.flatnonzero(inside), np.flatnonzero(~inside)
    apart, nearest = KDTree(latent[without]).query(latent[within])
    best = int(np.argmin(apart))
    tiny = np.finfo(np.float64).tiny
    return int(within[best]), int(without[nearest[best]]), max(float(apart[best]), tiny)
