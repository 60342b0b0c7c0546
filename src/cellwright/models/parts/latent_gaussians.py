"""Latent Gaussians: where the cells of a kind lie in a latent, so that new ones can be drawn there.

    posteriors N(mean, variance) of the training cells -learn-> a Gaussian per kind (label and condition)
    wanted kinds -sample-> z (n_obs, n_latent)

A kind's Gaussian has the mean and the covariance of its aggregate posterior (1 / n) sum N(mean_i, variance_i). The
covariance of a few cells is no estimate, so it is drawn towards W, that within kinds over all training cells, as if
there were n_latent cells more, which have it:

    covariance = (sum (mean_i - mean)(mean_i - mean)^T + sum variance_i + n_latent W) / (n - 1 + n_latent)

A kind of a single cell thus has W around it. Where a label is unknown, cells are drawn from the Gaussian of all labels
under their condition; where a condition is, from that of their label under all; where both are, from that of all cells.
Without labels and conditions it is one Gaussian, which knows nothing of clusters.

References: [Friedman89] for a covariance drawn towards the pooled one; [Tomczak18] for the aggregate posterior as what
to draw from instead of N(0, I).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.parts.kinds import kind_of, n_kinds, pooled


class LatentGaussians(nn.Module):
    """A Gaussian over the latent for each kind of cells."""

    mean: Tensor  # (n_kinds, n_latent)
    factor: Tensor  # (n_kinds, n_latent, n_latent), lower triangular: factor @ its transpose is the covariance

    def __init__(self, schema: Schema, n_latent: int) -> None:
        super().__init__()
        self.schema, self.n_latent = schema, n_latent
        self.register_buffer("mean", torch.zeros(n_kinds(schema), n_latent))
        self.register_buffer("factor", torch.zeros(n_kinds(schema), n_latent, n_latent))

    @torch.no_grad()
    def learn(self, posterior: Callable[[Minibatch], GaussianLatent], source: Source, rows: np.ndarray) -> None:
        """Estimate them from the posteriors of the cells in `rows`."""
        n, d = n_kinds(self.schema), self.n_latent
        count, total, products = (torch.zeros(n, *shape, dtype=torch.float64) for shape in ((), (d,), (d, d)))
        for minibatch in in_order(source, rows):
            q = posterior(minibatch)
            kind, mean, variance = self._kind(minibatch), q.mean.double(), q.variance.double()
            count.index_add_(0, kind, torch.ones_like(mean[:, 0]))
            total.index_add_(0, kind, mean)
            products.index_add_(0, kind, mean[:, :, None] * mean[:, None, :] + torch.diag_embed(variance))
        within = _scatter(count, total, products).sum(dim=0) / (count.sum() - (count > 0).sum()).clamp(min=1)
        count, total, products = (pooled(self.schema, each) for each in (count, total, products))
        there = count > 0
        scatter = _scatter(count, total, products)[there]
        covariance = (scatter + d * within) / (count[there] - 1 + d)[:, None, None]
        self.mean[there] = (total[there] / count[there, None]).float()
        self.factor[there] = torch.linalg.cholesky(covariance).float()

    def sample(self, cells: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_latent"]:
        """A latent for a new cell of the label and condition of each of `cells`."""
        kind = self._kind(cells)
        noise = torch.randn(len(kind), self.n_latent, generator=generator, device=self.mean.device)
        return self.mean[kind] + (self.factor[kind] @ noise[:, :, None])[:, :, 0]

    def _kind(self, cells: Minibatch) -> Int[Tensor, " n_obs"]:
        return kind_of(self.schema, cells.label, cells.condition)


def _scatter(
    count: Float[Tensor, " n_kinds"],
    total: Float[Tensor, "n_kinds n_latent"],
    products: Float[Tensor, "n_kinds n_latent n_latent"],
) -> Float[Tensor, "n_kinds n_latent n_latent"]:
    """Sums of squares and products around the mean of each kind."""
    mean = total / count.clamp(min=1)[:, None]
    return products - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
