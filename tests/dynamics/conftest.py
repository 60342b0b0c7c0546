"""Small graphs whose ways are known: a line, and a line that forks."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial import distance

from cellwright.dynamics.cell_graph import CellGraph


def neighbours_of(latent, n_neighbors):
    apart = distance.cdist(latent, latent)
    np.fill_diagonal(apart, np.inf)
    indices = np.argsort(apart, axis=1, kind="stable")[:, :n_neighbors]
    return CellGraph(indices, np.take_along_axis(apart, indices, axis=1))


@pytest.fixture(scope="session")
def graph_of():
    """A function: latent, number of neighbours -> CellGraph."""
    return neighbours_of


@pytest.fixture(scope="session")
def path():
    """A function: lengths of the edges of a path graph -> symmetric CSR."""

    def of(lengths):
        upper = sparse.diags(np.asarray(lengths, dtype=float), 1)
        return (upper + upper.T).tocsr()

    return of


@pytest.fixture(scope="session")
def fork(path):
    """A Y: cells 0 to 9 the stem, 10 to 19 one branch, 20 to 24 the shorter other; edges of length one; its lengths."""
    graph = path(np.ones(24)).tolil()
    graph[19, 20] = graph[20, 19] = 0
    graph[9, 20] = graph[20, 9] = 1
    return graph.tocsr()
