"""Conditions: what a decoder is told beside the latent.

    batch code (n_obs,), covariates (n_obs, n_covariates) -> (n_obs, width)

A cell of an unknown batch (code -1) gets equal shares of all batches: the decoder then answers for the average batch.
Where some batches were never met (a modality that was not measured there), it is the average of those that were.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema


class Conditions(nn.Module):
    """One-hot batch (nothing for a single batch) and covariates; continuous ones are standardised as they are met."""

    is_met: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.n_batch = schema.n_batch
        self.register_buffer("is_met", torch.ones(schema.n_batch, dtype=torch.bool))
        self.continuous = _continuous_columns(schema)
        # momentum None is the plain average over all minibatches seen
        self.standardise = (
            nn.BatchNorm1d(len(self.continuous), affine=False, momentum=None) if self.continuous else None
        )
        self.width = (schema.n_batch if schema.n_batch > 1 else 0) + schema.n_covariates

    def forward(self, minibatch: Minibatch) -> Float[Tensor, "n_obs width"]:
        covariates = minibatch.covariates
        if self.standardise is not None:
            covariates = covariates.clone()
            covariates[:, self.continuous] = self.standardise(covariates[:, self.continuous])
        return torch.cat([self._one_hot_batch(minibatch.batch), covariates], dim=1) if self.width else covariates

    def met(self, batch: Int[Tensor, " n_obs"]) -> None:
        """Say of which batches the training cells were; all batches are met until this is said."""
        self.is_met.zero_()
        self.is_met[batch[batch >= 0].unique()] = True
        if not self.is_met.any():
            self.is_met.fill_(1)

    def known(self, batch: Int[Tensor, " n_obs"]) -> Int[Tensor, " n_obs"]:
        """The codes, -1 for a batch that was never met."""
        return torch.where(self.is_met[batch.clamp(min=0)], batch, -1)

    def _one_hot_batch(self, batch: Tensor) -> Tensor:
        if self.n_batch == 1:
            return batch.new_zeros((len(batch), 0), dtype=torch.float32)
        known = functional.one_hot(batch.clamp(min=0), self.n_batch).to(torch.float32)
        return torch.where(batch[:, None] >= 0, known, self.is_met / self.is_met.sum())


def _continuous_columns(schema: Schema) -> list[int]:
    columns, start = [], 0
    for covariate in schema.covariates:
        if covariate.values is None:
            columns.append(start)
        start += covariate.width
    return columns
