"""Coordinates of diffusion: those of a ring in closed form, the same however the eigenvectors are found."""

import numpy as np
from scipy import sparse

from cellwright.metrics import diffusion
from cellwright.metrics.diffusion import diffusion_map


def ring(n_obs: int) -> sparse.csr_matrix:
    rows = np.arange(n_obs)
    directed = sparse.csr_matrix((np.ones(n_obs), (rows, (rows + 1) % n_obs)), shape=(n_obs, n_obs))
    return directed + directed.T


def gram(coordinates: np.ndarray) -> np.ndarray:
    """Products of cells, which do not depend on how eigenvectors of equal eigenvalues are turned."""
    return coordinates @ coordinates.T


def test_of_a_ring_they_are_cosines_weighed_over_walks_of_all_lengths():
    """Eigenvalues cos(2 pi m / n); psi is a unit vector over the root of the degrees of the kernel, 2 * (1/2)(1/2)."""
    n_obs = 9
    degree = 0.5
    angles = 2 * np.pi * np.outer(np.arange(n_obs), np.arange(1, n_obs)) / n_obs
    values = np.cos(2 * np.pi * np.arange(1, n_obs) / n_obs)
    waves = np.exp(1j * angles) / np.sqrt(n_obs) / np.sqrt(degree) * (values / (1 - values))
    np.testing.assert_allclose(gram(diffusion_map(ring(n_obs))), (waves @ waves.conj().T).real, atol=1e-10)


def test_some_eigenvectors_are_those_of_all(monkeypatch):
    places = np.random.default_rng(0).normal(size=(200, 2))
    graph = sparse.csr_matrix(np.exp(-((places[:, None] - places) ** 2).sum(axis=2)))
    every = diffusion_map(graph)
    monkeypatch.setattr(diffusion, "DENSE_UP_TO", 0)
    np.testing.assert_allclose(gram(diffusion_map(graph)), gram(every), atol=1e-8)
