"""Bernoulli: a feature is on (1) or off (0); mean = p, variance = p (1 - p).

    h (n_obs, n_hidden) -linear-> logits (n_obs, n_vars) -sigmoid-> p

log p(x) = x logits - log(1 + exp(logits)). The library is not used.

References: [Kingma14], appendix C.1; [Ashuach22] PeakVI, for open chromatin.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from cellwright.core.minibatch import SparseRows
from cellwright.core.support import Support
from cellwright.likelihoods.compiled import compiled_log_prob, is_compiled
from cellwright.likelihoods.fused import At, Density, Terms, fused_log_prob
from cellwright.likelihoods.head import Head, Likelihood


class Bernoulli(Likelihood):
    """On or off: open chromatin, or counts that were made binary."""

    name: Literal["bernoulli"] = "bernoulli"

    @property
    def support(self) -> Support:
        return Support.binary

    def head(self, n_hidden: int, n_vars: int) -> "BernoulliHead":
        return BernoulliHead(n_hidden, n_vars)


class BernoulliHead(Head):
    """Logits linear in h."""

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.logits = nn.Linear(n_hidden, n_vars)

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return torch.sigmoid(self.logits(h))

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        if is_compiled(x, h, library, where):
            from cellwright.kernels import bernoulli as kernels

            return compiled_log_prob(kernels.log_prob, x, h, library, [self.logits])
        return bernoulli_log_prob(x, self.logits(h), where)

    @torch.no_grad()
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        return torch.bernoulli(self.mean(h, library), generator=generator)


def bernoulli_log_prob(
    x: SparseRows, logits: Float[Tensor, "n_obs n_vars"], where: Bool[Tensor, "n_obs n_vars"] | None = None
) -> Float[Tensor, " n_obs"]:
    """Sum log Bernoulli(x | sigmoid(logits)) over features, per cell."""
    return fused_log_prob(_DENSITY, x, (logits,), where)


def _at_zero(logits: Tensor) -> Terms:
    return functional.logsigmoid(-logits), -torch.sigmoid(logits)


def _at_value(x: Tensor, at: At, logits: Tensor) -> Terms:
    # x logits - log(1 + exp(logits)), written around x = 1 so that large logits do not cancel
    logits = at(logits)
    return (x - 1) * logits + functional.logsigmoid(logits), (x - 1) + torch.sigmoid(-logits)


_DENSITY = Density(_at_zero, _at_value)
