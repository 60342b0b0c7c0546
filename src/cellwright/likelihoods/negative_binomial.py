"""Negative binomial with mean and inverse dispersion: variance = mean + mean^2 / theta.

    h (n_obs, n_hidden) -softmax-> share of each feature x library = mean;  theta (n_vars,), one per feature

log p(x) = log Gamma(x + theta) - log Gamma(theta) - log x!
           + theta log(theta / (theta + mean)) + x log(mean / (theta + mean))

At a zero this is -theta log1p(mean / theta): one dense pass; everything else is evaluated at stored values only.
There it is regrouped as [Loader00] does, so that float32 keeps its digits for any mean, theta and x; with n = x + theta

log p(x) = log(theta / (2 pi x n)) / 2 + s(n) - s(theta) - s(x)
           - theta g((x - mean) / (theta + mean)) - x g(theta (mean - x) / (x (theta + mean)))

with Stirling's error s and g(t) = t - log(1 + t), see `special.py`.

References: [Lopez18] scVI, for the softmax times library; [Hilbe11] for the parametrisation (NB2); [Loader00].
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.core.support import Support
from cellwright.likelihoods.compiled import Features, compiled_log_prob, is_compiled
from cellwright.likelihoods.fused import At, Density, Terms, fused_log_prob
from cellwright.likelihoods.head import Head, Likelihood, log_mean_of
from cellwright.likelihoods.special import log_gap, stirling_error, stirling_error_slope


class NegativeBinomial(Likelihood):
    """Counts with more variance than Poisson; theta is learned per feature."""

    name: Literal["negative_binomial"] = "negative_binomial"

    @property
    def support(self) -> Support:
        return Support.counts

    def head(self, n_hidden: int, n_vars: int) -> "NegativeBinomialHead":
        return NegativeBinomialHead(n_hidden, n_vars)


class NegativeBinomialHead(Head):
    """Shares by a softmax over features, theta = exp(log_theta (n_vars,)), which starts at exp(normal) as in scVI."""

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.share = nn.Linear(n_hidden, n_vars)
        self.log_theta = nn.Parameter(torch.randn(n_vars))

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return library * torch.softmax(self.share(h), dim=-1)

    def mean_given(
        self, h: Float[Tensor, "n_obs n_hidden"], x: SparseRows, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return expected_rate(self.mean(h, library), self.log_theta.exp(), x)

    def draw_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        return draw_rate(self.mean(h, library), self.log_theta.exp(), x, generator)

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        theta = self.log_theta.exp()
        if is_compiled(x, h, library, where):
            from cellwright.kernels import negative_binomial as kernels

            return compiled_log_prob(kernels.log_prob, x, h, library, [self.share], features_of(theta))
        return negative_binomial_log_prob(x, log_mean_of(self.share(h), library), theta, where)

    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        return sample_negative_binomial(self.mean(h, library), self.log_theta.exp(), generator)


def features_of(theta: Float[Tensor, " n_vars"]) -> Features:
    """Theta, and what is tabulated of it for small counts."""
    from cellwright.kernels import negative_binomial as kernels

    table = np.empty((len(theta), 2 * kernels.TABULATED), np.float32)
    kernels.tabulate(theta.detach().numpy(), table)
    return Features((theta,), (table,))


def negative_binomial_log_prob(
    x: SparseRows,
    log_mean: Float[Tensor, "n_obs n_vars"],
    theta: Float[Tensor, " n_vars"],
    where: Bool[Tensor, "n_obs n_vars"] | None = None,
) -> Float[Tensor, " n_obs"]:
    """Sum log NB(x | mean, theta) over features, per cell.

    A mean may be smaller than float32 can hold, as long as its logarithm is finite.
    """
    return fused_log_prob(_DENSITY, x, (log_mean, theta), where)


@torch.no_grad()
def sample_negative_binomial(
    mean: Float[Tensor, "n_obs n_vars"], theta: Float[Tensor, "*each n_vars"], generator: Generator
) -> Float[Tensor, "n_obs n_vars"]:
    """One draw per entry: Poisson with a rate that is gamma distributed with shape theta, which each cell may have."""
    # torch draws gamma numbers from a given generator through this operator only
    gamma = torch._standard_gamma(theta.expand_as(mean), generator=generator)
    return torch.poisson(gamma * (mean / theta), generator)


def expected_rate(
    mean: Float[Tensor, "n_obs n_vars"], theta: Float[Tensor, " n_vars"], x: SparseRows
) -> Float[Tensor, "n_obs n_vars"]:
    """Counts are Poisson, rates ~ Gamma(theta, theta / mean): E[rate | x] = mean (theta + x) / (theta + mean)."""
    return mean * (theta + x.dense()) / (theta + mean)


@torch.no_grad()
def draw_rate(
    mean: Float[Tensor, "n_obs n_vars"], theta: Float[Tensor, " n_vars"], x: SparseRows, generator: Generator
) -> Float[Tensor, "n_obs n_vars"]:
    """One draw per entry of the rate given x, which is Gamma(theta + x, theta / mean + 1)."""
    return torch._standard_gamma(theta + x.dense(), generator=generator) * (mean / (theta + mean))


def nb_at_zero(log_mean: Tensor, theta: Tensor) -> Terms:
    """The terms at a zero: log NB(0), its derivative by the logarithm of the mean, and by theta."""
    mean = log_mean.exp()
    # the difference of two logarithms would cancel when theta is large
    log_odds = torch.log1p(mean / theta)
    share = mean / (mean + theta)
    return -theta * log_odds, -theta * share, share - log_odds


def nb_at_value(x: Tensor, at: At, log_mean: Tensor, theta: Tensor) -> Terms:
    """The terms where x > 0."""
    error_theta, slope_theta = at(stirling_error(theta)), at(stirling_error_slope(theta))
    log_mean, theta = at(log_mean), at(theta)
    mean, n = log_mean.exp(), x + theta
    scale = n / (theta + mean)
    off = (x - mean) / (theta + mean)
    ratio = scale * mean / x
    # a mean that underflows still has a logarithm
    log_ratio = torch.where(ratio > 1e-30, ratio.log(), log_mean + torch.log(scale / x))
    gap_theta, gap_x = log_gap(off, scale.log()), log_gap(-theta * off / x, log_ratio)
    normal = 0.5 * torch.log(theta / (2 * math.pi * x * n))
    log_prob = normal + stirling_error(n) - error_theta - stirling_error(x) - theta * gap_theta - x * gap_x
    by_theta = 0.5 * x / (theta * n) + stirling_error_slope(n) - slope_theta - gap_theta
    return log_prob, theta * off, by_theta


_DENSITY = Density(nb_at_zero, nb_at_value)
