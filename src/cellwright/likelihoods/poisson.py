"""Poisson: variance = mean.

    h (n_obs, n_hidden) -softmax-> share of each feature x library = mean

log p(x) = x log(mean) - mean - log x!

At a zero this is -mean. At a stored value it is -log(2 pi x) / 2 - s(x) - x g((mean - x) / x), with Stirling's error s
and g(t) = t - log(1 + t), see `special.py`: x log(mean) - log x! cancels in float32 when both are large [Loader00].

References: [Townes19], counts of molecules are multinomial, which is Poisson given the library; [Loader00].
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.core.support import Support
from cellwright.likelihoods.compiled import compiled_log_prob, is_compiled
from cellwright.likelihoods.fused import At, Density, Terms, fused_log_prob
from cellwright.likelihoods.head import Head, Likelihood, log_mean_of
from cellwright.likelihoods.special import log_gap, stirling_error


class Poisson(Likelihood):
    """Counts without more variance than sampling gives."""

    name: Literal["poisson"] = "poisson"

    @property
    def support(self) -> Support:
        return Support.counts

    def head(self, n_hidden: int, n_vars: int) -> "PoissonHead":
        return PoissonHead(n_hidden, n_vars)


class PoissonHead(Head):
    """Shares by a softmax over features."""

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.share = nn.Linear(n_hidden, n_vars)

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return library * torch.softmax(self.share(h), dim=-1)

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        if is_compiled(x, h, library, where):
            from cellwright.kernels import poisson as kernels

            return compiled_log_prob(kernels.log_prob, x, h, library, [self.share])
        return poisson_log_prob(x, log_mean_of(self.share(h), library), where)

    @torch.no_grad()
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        return torch.poisson(self.mean(h, library), generator)


def poisson_log_prob(
    x: SparseRows, log_mean: Float[Tensor, "n_obs n_vars"], where: Bool[Tensor, "n_obs n_vars"] | None = None
) -> Float[Tensor, " n_obs"]:
    """Sum log Poisson(x | mean) over features, per cell.

    A mean may be smaller than float32 can hold, as long as its logarithm is finite.
    """
    return fused_log_prob(_DENSITY, x, (log_mean,), where)


def _at_zero(log_mean: Tensor) -> Terms:
    mean = log_mean.exp()
    return -mean, -mean


def _at_value(x: Tensor, at: At, log_mean: Tensor) -> Terms:
    log_mean = at(log_mean)
    mean = log_mean.exp()
    ratio = mean / x
    # a mean that underflows still has a logarithm
    log_ratio = torch.where(ratio > 1e-30, ratio.log(), log_mean - x.log())
    gap = log_gap((mean - x) / x, log_ratio)
    return -0.5 * torch.log(2 * math.pi * x) - stirling_error(x) - x * gap, x - mean


_DENSITY = Density(_at_zero, _at_value)
