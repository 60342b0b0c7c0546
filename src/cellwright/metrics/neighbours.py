"""Neighbours: the nearest other cells of every cell, found once by the caller and read by every metric of a graph.

latent (n_obs, n_latent) -> a search outside of this room -> indices, distances (n_obs, n_neighbors) -> metrics
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other cells of each cell, nearest first; a cell is never among its own.

    Raises `DataError` where the shapes differ, or an index is no other cell.
    """

    indices: np.ndarray  # (n_obs, n_neighbors) rows of the same cells
    distances: np.ndarray  # (n_obs, n_neighbors) of the latent that they were sought in

    def __post_init__(self) -> None:
        """Refuse what no search for neighbours gives."""
        if self.indices.ndim != 2 or self.indices.shape != self.distances.shape:
            raise DataError(
                "indices and distances of Neighbours must both be (n_obs, n_neighbors); their shapes are "
                f"{self.indices.shape} and {self.distances.shape}. Take both from one search."
            )
        own = np.arange(self.n_obs)[:, None]
        if ((self.indices == own) | (self.indices < 0) | (self.indices >= self.n_obs)).any():
            raise DataError(
                f"indices of Neighbours must be rows of other cells, 0 to {self.n_obs - 1}; some are the cell itself "
                "or no cell. Leave each cell out of its own neighbours."
            )

    @property
    def n_obs(self) -> int:
        """How many cells there are."""
        return len(self.indices)

    def first(self, n_neighbors: int) -> "Neighbours":
        """The nearest `n_neighbors` of each cell, or all there are."""
        return Neighbours(self.indices[:, :n_neighbors], self.distances[:, :n_neighbors])

    def graph(self, weights: np.ndarray | None = None) -> "csr_matrix":
        """An edge from each cell to each of its neighbours `(n_obs, n_obs)`, of weight 1 or of `weights`."""
        from scipy.sparse import csr_matrix  # half a second, and a report needs only the titles

        n_obs, width = self.indices.shape
        values = np.ones(self.indices.size) if weights is None else weights.ravel()
        return csr_matrix((values, self.indices.ravel(), np.arange(0, n_obs * width + 1, width)), (n_obs, n_obs))


def codes_beside(neighbours: Neighbours, labels: Labels, role: str) -> tuple[np.ndarray, list[str]]:
    """A code `(n_obs,)` for every cell that has neighbours, and the name of each code.

    A cell that is left out after the search would leave gaps among the neighbours of others, so each needs a label.
    Raises `DataError` for one that has none, for another number of cells, and where there are no neighbours.
    """
    if len(labels) != neighbours.n_obs or not neighbours.indices.size:
        raise DataError(
            f"{role} must be of the cells whose neighbours are given, at least two; they have {len(labels)} and "
            f"{neighbours.n_obs} entries, with {neighbours.indices.shape[1]} neighbours each. Give the same cells."
        )
    codes, names = codes_of(labels, role)
    if missing := int((codes < 0).sum()):
        raise DataError(
            f"{role} must name a label for every cell that has neighbours; {missing} of {len(codes)} are missing. "
            "Leave these cells out before neighbours are sought."
        )
    return codes, names
