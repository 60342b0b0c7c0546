"""Gaussian with a mean that is linear in h.

    h (n_obs, n_hidden) -linear-> mean (n_obs, n_vars);  variance 1, or one per feature (n_vars,)

log p(x) = -((x - mean)^2 / variance + log(variance) + log(2 pi)) / 2. The library is not used.

With unit variance, -log p is half the squared error of an autoencoder plus n_vars log(2 pi) / 2.

References: [Kingma14], appendix C.2; [Hinton06], the squared error of an autoencoder.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.core.support import Support
from cellwright.likelihoods.compiled import Features, compiled_log_prob, is_compiled
from cellwright.likelihoods.head import Head, Likelihood


class Gaussian(Likelihood):
    """Real values: log-normalised expression, proteins, embeddings."""

    name: Literal["gaussian"] = "gaussian"
    variance: Literal["unit", "feature"] = Field("unit", description="1 (squared error), or learned per feature")

    @property
    def support(self) -> Support:
        return Support.real

    def head(self, n_hidden: int, n_vars: int) -> "GaussianHead":
        return GaussianHead(n_hidden, n_vars, learns_variance=self.variance == "feature")


class GaussianHead(Head):
    """Mean linear in h; variance = exp(log_variance (n_vars,)) starts at 1 and stays there unless it is learned."""

    log_variance: Tensor

    def __init__(self, n_hidden: int, n_vars: int, *, learns_variance: bool) -> None:
        super().__init__()
        self.location = nn.Linear(n_hidden, n_vars)
        if learns_variance:
            self.log_variance = nn.Parameter(torch.zeros(n_vars))
        else:
            self.register_buffer("log_variance", torch.zeros(n_vars), persistent=False)

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        mean: Tensor = self.location(h)
        return mean

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        if is_compiled(x, h, library, where):
            from cellwright.kernels import gaussian as kernels

            return compiled_log_prob(kernels.log_prob, x, h, library, [self.location], Features((self.log_variance,)))
        return gaussian_log_prob(x, self.location(h), self.log_variance, where)

    @torch.no_grad()
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        mean = self.location(h)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + noise * torch.exp(self.log_variance / 2)


def gaussian_log_prob(
    x: SparseRows,
    mean: Float[Tensor, "n_obs n_vars"],
    log_variance: Float[Tensor, " n_vars"],
    where: Bool[Tensor, "n_obs n_vars"] | None = None,
) -> Float[Tensor, " n_obs"]:
    """Sum log N(x | mean, exp(log_variance)) over features, per cell."""
    residual = _residual(x, mean.to(x.values.dtype))  # (n_obs, n_vars)
    log_prob = -0.5 * (residual.square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))
    return (log_prob if where is None else log_prob.masked_fill(~where, 0)).sum(dim=1)


def _residual(x: SparseRows, mean: Tensor) -> Tensor:
    # mean - x. Not the sum of all mean^2 corrected where x is stored: that cancels when x and the mean are large
    if x.columns is None:
        return mean - x.values
    return mean.index_put((x.row_of_value, x.columns), x.gather(mean) - x.values)
