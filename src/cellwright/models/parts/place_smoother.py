"""Place smoother: each cell becomes the mean of itself and of the training cells beside it, several times over.

    values of the training cells -keep-> hop 0, hop 1, ... (n_references, n_times + 1, width)
    values of any cell, its place -smooth-> after n_times hops (n_obs, width)

With a `bandwidth` a neighbour j of cell i weighs exp(-|h_i - h_j|^2 / (2 bandwidth)), where h are the values at the hop
before, so that neighbours across a boundary hardly count, the less the clearer the values become from hop to hop: the
bilateral filter of [Tomasi98] over a graph. An infinite bandwidth is the plain mean.
A cell that was not trained on hears the references at each hop and is heard by none; for a training cell that gives
what `keep` computed.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.models.parts.places import Placed, beside, refuse_strangers, spacing_of
from cellwright.nn.from_data import FromData


class PlaceSmoother(nn.Module):
    """The references with their values at each hop, as they are saved."""

    def __init__(self, schema: Schema, width: int, *, n_neighbors: int, n_times: int) -> None:
        super().__init__()
        self.schema = schema
        self.n_neighbors = n_neighbors
        self.n_times = n_times
        self.spacing: Tensor
        self.register_buffer("spacing", torch.zeros(schema.n_batch))
        self.bandwidth: Tensor
        self.register_buffer("bandwidth", torch.tensor(torch.inf))
        self.kept = FromData(
            {
                "hops": torch.zeros(0, n_times + 1, width),
                "places": torch.zeros(0, schema.n_coordinates),
                "batch": torch.zeros(0, dtype=torch.int64),
            }
        )

    @property
    def references(self) -> Placed:
        """The training cells that are kept."""
        return Placed(self.kept.hops[:, 0], self.kept.places, self.kept.batch)

    @torch.no_grad()
    def keep(self, cells: Placed, bandwidth: float = torch.inf) -> None:
        """Take these training cells as references."""
        self.bandwidth.fill_(bandwidth)
        hops = [cells.features]
        index, _ = beside(cells, cells, self.n_neighbors)
        for _ in range(self.n_times):
            hops.append(self._hop(hops[-1], hops[-1], index))
        self.kept.set(hops=torch.stack(hops, dim=1), places=cells.places, batch=cells.section)
        self.spacing.copy_(spacing_of(cells, self.schema.n_batch))

    def smooth(self, values: Float[Tensor, "n_obs width"], minibatch: Minibatch) -> Float[Tensor, "n_obs width"]:
        """The values after the last hop (see `hops`)."""
        return self.hops(values, minibatch)[:, -1]

    @torch.no_grad()
    def hops(self, values: Float[Tensor, "n_obs width"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_hops width"]:
        """The values at each hop, the first of which are they themselves.

        Raises `DataError` for cells that lie in no tissue of the references.
        """
        cells, references = Placed.of(values, minibatch), self.references
        index, distance = beside(cells, references, self.n_neighbors)
        if len(references.section):
            refuse_strangers(cells, references, distance, self.spacing, self.schema)
        hops = [values]
        for hop in range(self.n_times):
            hops.append(self._hop(hops[-1], self.kept.hops[:, hop], index))
        return torch.stack(hops, dim=1)

    def _hop(self, own: Tensor, of_references: Tensor, index: Tensor) -> Tensor:
        """The weighted mean of each cell, whose own weight is 1, and its neighbours."""
        around = of_references[index.clamp(min=0)]  # (n_obs, n_neighbors, width)
        apart = (around - own[:, None]).square().sum(dim=2)
        weights = torch.exp(-apart / (2 * self.bandwidth.to(apart.device))) * (index >= 0)
        return (own + (around * weights[:, :, None]).sum(dim=1)) / (1 + weights.sum(dim=1, keepdim=True))


def smoothing_matrix(index: Int[Tensor, "n_references n_neighbors"]) -> sparse.csr_array:
    """The plain mean over these neighbours as a matrix, (n_references, n_references)."""
    there = (index >= 0).cpu().numpy()
    n_obs = len(index)
    rows = np.concatenate([np.arange(n_obs), np.broadcast_to(np.arange(n_obs)[:, None], there.shape)[there]])
    columns = np.concatenate([np.arange(n_obs), index.cpu().numpy()[there]])
    weights = 1 / (1 + there.sum(axis=1))
    return sparse.csr_array((weights[rows], (rows, columns)), shape=(n_obs, n_obs))
