"""Diffusion: coordinates of a graph in which cells are near that a random walk reaches from one another soon.

    connectivities (n_obs, n_obs) -> transitions, freed of density -> eigenvectors, weighed over walks of all lengths
    (n_obs, n_components)

References: [Coifman06]; [Haghverdi16] for the sum over lengths.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_COMPONENTS = 100
DENSE_UP_TO = 300  # cells; below, all eigenvectors cost less than some


def diffusion_map(graph: "csr_matrix") -> np.ndarray:
    """Coordinates `(n_obs, n_components)` of a connected graph: psi lambda / (1 - lambda), at most 100 of them.

    psi and lambda are the right eigenvectors and the eigenvalues of the random walk on the graph, freed of density
    (alpha = 1). The largest eigenvalue, 1, belongs to a vector that is the same for all cells, and is left out.
    scib-metrics keeps it, with a weight that is what rounding makes of 1 / 0, and takes the eigenvectors of the
    symmetric matrix, in which it is not the same for all.
    """
    from scipy.sparse import diags  # half a second, and a report needs only the titles

    by_density = diags(1 / _row_sums(graph))
    kernel = by_density @ graph @ by_density
    by_root = diags(1 / np.sqrt(_row_sums(kernel)))
    values, vectors = _largest(by_root @ kernel @ by_root)
    return (by_root @ vectors) * (values / (1 - values))


def _row_sums(matrix: "csr_matrix") -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()


def _largest(symmetric: "csr_matrix") -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues after the first, descending, and their vectors `(n_obs, n_components)`."""
    n_obs = symmetric.shape[0]
    if n_obs <= DENSE_UP_TO:
        values, vectors = np.linalg.eigh(symmetric.toarray())
    else:
        from scipy.sparse.linalg import eigsh

        # a start of its own, so that the same graph has the same coordinates; any will do that is not the first vector
        start = np.random.default_rng(0).random(n_obs)
        values, vectors = eigsh(symmetric, k=N_COMPONENTS, which="LA", v0=start)
    order = np.argsort(-values)[1:N_COMPONENTS]
    return values[order], vectors[:, order]
