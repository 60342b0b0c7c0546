"""Gene share: which share of all molecules each feature has; what is known of a cell before it is looked at.

training cells -learn-> share (n_vars,), of sum one;  library (n_obs, 1) -> library * share (n_obs, n_vars)
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.models.parts.moments import BLOCK_ROWS


class GeneShare(nn.Module):
    """The shares of the features over all training cells together."""

    share: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((schema.n_vars,), 1 / schema.n_vars))

    def learn(self, source: Source, rows: np.ndarray) -> None:
        """From the molecules of `rows`, and half a molecule more of each: what was never seen is not impossible."""
        molecules = torch.zeros(len(self.share), dtype=torch.float64)
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            molecules += torch.from_numpy(np.asarray(minibatch.x.csr().sum(axis=0, dtype=np.float64)).ravel())
        self.share.copy_(share_of(molecules))

    def mixed_into(self, means: Float[Tensor, "n_obs n_vars"], weight: float) -> Float[Tensor, "n_obs n_vars"]:
        """Shares in the place of means, of which `weight` is replaced by the share of each feature among all cells.

        What was seen in no neighbour of a cell is not impossible in it. Where there are no means (no neighbour, no
        molecule), the share is all that is known.
        """
        total = means.sum(dim=1, keepdim=True)
        weights = torch.where(total > 0, weight, 1.0)
        return (1 - weights) * means / total.clamp(min=1e-12) + weights * self.share


def share_of(molecules: Float[Tensor, " n_vars"]) -> Float[Tensor, " n_vars"]:
    """The share of each feature in so many molecules, and half a molecule more of each."""
    return ((molecules + 0.5) / (molecules + 0.5).sum()).float()
