"""Reference cells: training cells whose counts are kept, and the nearest of them to any cell.

    training cells -learn-> principal components, counts (n_references, n_vars), sparse
    cell -components-> nearest references (n_obs, n_neighbors) -weights-> weighted sums of their counts (n_obs, n_vars)

A cell is not its own neighbour: a reference at distance zero is left out, for a training cell as for any other. So what
its neighbours say of a cell has not seen the cell's own noise.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.models.parts.kept_rows import KeptRows
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn.from_data import FromData
from cellwright.nn.nearest import nearest
from cellwright.nn.transform import Transform

SAME_CELL = 1e-4  # of a cell's norm; two cells that differ by less in all components have the same counts


class ReferenceCells(nn.Module):
    """A sample of the training cells; memory is that of their stored values."""

    def __init__(self, schema: Schema, *, n_latent: int, transform: Transform, at_most: int) -> None:
        super().__init__()
        self.at_most = at_most
        self.components = PCA(schema, PCAOptions(n_latent=n_latent, scale=False, transform=transform))
        self.kept = FromData({"latent": torch.zeros(0, self.components.n_latent)})
        self.rows = KeptRows(schema.n_vars)

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Components from all of `rows`; latents and counts of a sample of them, if there are too many."""
        self.components.learn(source, rows, rng)
        if len(rows) > self.at_most:
            rows = np.sort(rng.choice(rows, self.at_most, replace=False))
        blocks = [(self.components.encode(m), m.x.csr()) for m in in_order(source, rows)]
        self.kept.set(latent=torch.cat([latent for latent, _ in blocks]))
        self.rows.set(sparse.vstack([csr for _, csr in blocks], format="csr"))

    @property
    def n_references(self) -> int:
        """How many cells are kept."""
        return len(self.kept.latent)

    @property
    def counts(self) -> sparse.csr_matrix:
        """Their values, (n_references, n_vars) float32."""
        return self.rows.csr

    def neighbours(
        self, minibatch: Minibatch, n_neighbors: int
    ) -> tuple[Int[Tensor, "n_obs n_neighbors"], Float[Tensor, "n_obs n_neighbors"]]:
        """Positions and distances of the nearest references, nearest first; -1 and infinity where there are none."""
        latent = self.components.encode(minibatch)
        return nearest(latent, self.kept.latent, n_neighbors, same=SAME_CELL)


def weights_of(
    index: Int[Tensor, "n_obs n_neighbors"], weight: Float[Tensor, "n_obs n_neighbors"], n_references: int
) -> sparse.csr_matrix:
    """Weights as a matrix (n_obs, n_references) float32; those of neighbours that are not there are left out."""
    there = (index >= 0).cpu().numpy()
    row = np.broadcast_to(np.arange(len(index))[:, None], there.shape)[there]
    values = weight.cpu().numpy()[there].astype(np.float32)
    return sparse.csr_matrix((values, (row, index.cpu().numpy()[there])), shape=(len(index), n_references))
