"""Place smoother: each cell becomes the mean of itself and of the training cells beside it, several times over.

    values of the training cells -keep-> hop 0, hop 1 = W hop 0, ... (n_references, n_times, width), W of the references
    values of any cell, its place -smooth-> W applied n_times (n_obs, width)

A cell that was not trained on hears the references at each hop, and is heard by none; for a training cell that gives
what `keep` computed. `W` averages a cell with its `n_neighbors` nearest references, all alike.
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
    def keep(self, cells: Placed) -> None:
        """Take these training cells as references."""
        hops = [cells.features]
        index, _ = beside(cells, cells, self.n_neighbors)
        for _ in range(self.n_times):
            hops.append(_mean(hops[-1], hops[-1], index))
        self.kept.set(hops=torch.stack(hops, dim=1), places=cells.places, batch=cells.section)
        self.spacing.copy_(spacing_of(cells, self.schema.n_batch))

    def smooth(self, values: Float[Tensor, "n_obs width"], minibatch: Minibatch) -> Float[Tensor, "n_obs width"]:
        """The values after the last hop. Raises `DataError` for cells that lie in no tissue of the references."""
        cells = Placed.of(values, minibatch)
        refuse_strangers(cells, self.references, self.spacing, self.schema)
        index, _ = beside(cells, self.references, self.n_neighbors)
        for hop in range(self.n_times):
            values = _mean(values, self.kept.hops[:, hop], index)
        return values


def smoothing_matrix(index: Int[Tensor, "n_references n_neighbors"]) -> sparse.csr_array:
    """W of references with these neighbours, (n_references, n_references)."""
    there = (index >= 0).cpu().numpy()
    n_obs = len(index)
    rows = np.concatenate([np.arange(n_obs), np.broadcast_to(np.arange(n_obs)[:, None], there.shape)[there]])
    columns = np.concatenate([np.arange(n_obs), index.cpu().numpy()[there]])
    weights = 1 / (1 + there.sum(axis=1))
    return sparse.csr_array((weights[rows], (rows, columns)), shape=(n_obs, n_obs))


def _mean(own: Tensor, of_references: Tensor, index: Tensor) -> Tensor:
    """Of each cell and its neighbours."""
    there = (index >= 0)[:, :, None]
    around = (of_references[index.clamp(min=0)] * there).sum(dim=1)
    return (own + around) / (1 + there.sum(dim=1))
