"""Zero-inflated negative binomial: with probability dropout the count is zero, else negative binomial.

    h (n_obs, n_hidden) -softmax-> share x library = m;  h -sigmoid-> dropout (n_obs, n_vars);  theta (n_vars,)

log p(0) = log(dropout + (1 - dropout) NB(0 | m, theta));  log p(x) = log(1 - dropout) + log NB(x | m, theta) for x > 0

mean = (1 - dropout) m;  variance = (1 - dropout) (m + m^2 / theta + dropout m^2)

References: [Eraslan19] DCA; [Lopez18] scVI. Counts of molecules rarely need the inflation [Svensson20].
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
from cellwright.likelihoods.head import Head, Likelihood, log_mean_of
from cellwright.likelihoods.negative_binomial import (
    draw_rate,
    expected_rate,
    features_of,
    nb_at_value,
    nb_at_zero,
    sample_negative_binomial,
)


class ZINB(Likelihood):
    """Counts with more zeros than a negative binomial has, as in read counts without molecular barcodes."""

    name: Literal["zinb"] = "zinb"

    @property
    def support(self) -> Support:
        return Support.counts

    def head(self, n_hidden: int, n_vars: int) -> "ZINBHead":
        return ZINBHead(n_hidden, n_vars)


class ZINBHead(Head):
    """Shares by a softmax over features, dropout by a second linear layer, theta = exp(log_theta (n_vars,))."""

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.share = nn.Linear(n_hidden, n_vars)
        self.dropout_logits = nn.Linear(n_hidden, n_vars)
        self.log_theta = nn.Parameter(torch.randn(n_vars))

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return torch.sigmoid(-self.dropout_logits(h)) * library * torch.softmax(self.share(h), dim=-1)

    def mean_given(
        self, h: Float[Tensor, "n_obs n_hidden"], x: SparseRows, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """As of a negative binomial, of what was no dropout; a zero that was one says nothing of the rate.

        Every measurement has dropouts of its own, so the second one loses its share again.
        """
        mean, theta, lost = self._parts(h, library)
        rate = expected_rate(mean, theta, x)
        counted = torch.where(x.dense() > 0, 1.0, self._counted(mean, theta, lost))
        return (1 - lost) * (counted * rate + (1 - counted) * mean)

    def draw_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        rate, lost = self._drawn(h, x, library, generator)
        return (1 - lost) * rate

    def draw_counts_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        rate, lost = self._drawn(h, x, library, generator)
        return torch.poisson(rate, generator) * torch.bernoulli(1 - lost, generator=generator)

    def _drawn(self, h: Tensor, x: SparseRows, library: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """A draw of the rates given x, before dropouts, and the probability of these."""
        mean, theta, lost = self._parts(h, library)
        counted = torch.where(x.dense() > 0, 1.0, self._counted(mean, theta, lost))
        is_counted = torch.bernoulli(counted, generator=generator)
        given_x = draw_rate(mean, theta, x, generator)
        nothing_known = draw_rate(mean, theta, x.map(torch.zeros_like), generator) * ((theta + mean) / theta)
        return torch.where(is_counted > 0, given_x, nothing_known), lost

    def _parts(self, h: Tensor, library: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and theta of the negative binomial, and the probability of a dropout."""
        lost = torch.sigmoid(self.dropout_logits(h))
        return library * torch.softmax(self.share(h), dim=-1), self.log_theta.exp(), lost

    @staticmethod
    def _counted(mean: Tensor, theta: Tensor, lost: Tensor) -> Tensor:
        """The probability that a zero comes from the negative binomial."""
        zero = (1 - lost) * torch.exp(-theta * torch.log1p(mean / theta))
        return zero / (zero + lost).clamp(min=1e-30)

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        theta = self.log_theta.exp()
        if is_compiled(x, h, library, where):
            from cellwright.kernels import zinb as kernels

            layers = [self.share, self.dropout_logits]
            return compiled_log_prob(kernels.log_prob, x, h, library, layers, features_of(theta))
        log_mean = log_mean_of(self.share(h), library)
        return zinb_log_prob(x, log_mean, theta, self.dropout_logits(h), where)

    @torch.no_grad()
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        mean = library * torch.softmax(self.share(h), dim=-1)
        counts = sample_negative_binomial(mean, self.log_theta.exp(), generator)
        return counts * torch.bernoulli(torch.sigmoid(-self.dropout_logits(h)), generator=generator)


def zinb_log_prob(
    x: SparseRows,
    log_mean: Float[Tensor, "n_obs n_vars"],
    theta: Float[Tensor, " n_vars"],
    dropout_logits: Float[Tensor, "n_obs n_vars"],
    where: Bool[Tensor, "n_obs n_vars"] | None = None,
) -> Float[Tensor, " n_obs"]:
    """Sum log ZINB(x) over features, per cell; `log_mean` and `theta` are those of the negative binomial part."""
    return fused_log_prob(_DENSITY, x, (log_mean, theta, dropout_logits), where)


def _at_zero(log_mean: Tensor, theta: Tensor, logits: Tensor) -> Terms:
    zero, by_mean, by_theta = nb_at_zero(log_mean, theta)
    # log(1 - dropout) is logsigmoid(-logits); the sum of the two ways to a zero is taken on the scale of logarithms
    log_prob = torch.logaddexp(functional.logsigmoid(logits), functional.logsigmoid(-logits) + zero)
    counted = torch.sigmoid(zero - logits)  # the probability that a zero comes from the negative binomial
    return log_prob, counted * by_mean, counted * by_theta, torch.sigmoid(-logits) - counted


def _at_value(x: Tensor, at: At, log_mean: Tensor, theta: Tensor, logits: Tensor) -> Terms:
    log_prob, by_mean, by_theta = nb_at_value(x, at, log_mean, theta)
    logits = at(logits)
    return log_prob + functional.logsigmoid(-logits), by_mean, by_theta, -torch.sigmoid(logits)


_DENSITY = Density(_at_zero, _at_value)
