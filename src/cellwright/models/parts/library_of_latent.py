"""Library of a latent: how many counts of a modality a cell would have on which it was not measured.

z (n_obs, n_latent), batch -least squares-> log library (n_obs, 1) -exp-> library, within that of training cells
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.nn.conditions import Conditions


class LibraryOfLatent(nn.Module):
    """A linear map of latent and batch, estimated once from cells that have both; before that every library is 1."""

    weight: Tensor
    bounds: Tensor

    def __init__(self, schema: Schema, n_latent: int) -> None:
        super().__init__()
        self.conditions = Conditions(schema.model_copy(update={"covariates": ()}))
        self.register_buffer("weight", torch.zeros(n_latent + self.conditions.width + 1, 1, dtype=torch.float64))
        self.register_buffer("bounds", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, latents: Iterable[tuple[Tensor, Minibatch]]) -> None:
        """From the latents of cells and their libraries, which are those of the minibatch."""
        pairs = list(latents)
        self.conditions.met(torch.cat([cells.batch for _, cells in pairs]))
        columns = torch.cat([self._columns(latent, cells) for latent, cells in pairs])
        logarithm = torch.cat([cells.library.clamp(min=1).double().log() for _, cells in pairs])
        # with a trace of ridge: a batch that all cells share is the intercept once more
        gram = columns.T @ columns + 1e-6 * len(columns) * torch.eye(columns.shape[1], dtype=columns.dtype)
        self.weight.copy_(torch.linalg.solve(gram, columns.T @ logarithm))
        self.bounds.copy_(torch.stack([logarithm.min(), logarithm.max()]))

    def forward(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs 1"]:
        known = replace(minibatch, batch=self.conditions.known(minibatch.batch))
        logarithm = self._columns(latent, known) @ self.weight
        return logarithm.clamp(self.bounds[0], self.bounds[1]).exp().to(latent.dtype)

    def _columns(self, latent: Tensor, minibatch: Minibatch) -> Tensor:
        known = self.conditions(minibatch)[:, : self.conditions.width]
        return torch.cat([latent, known, torch.ones_like(latent[:, :1])], dim=1).double()
