"""Counts of proteins over a background: drawn from one of two negative binomials that have the feature's theta.

    h (n_obs, n_hidden) -linear-> depth (n_obs, 1);  + level (n_vars,), one per feature = log background
    h -linear-> rise (n_obs, n_vars);  log foreground = log background + softplus(rise);  theta (n_vars,)
    h -sigmoid-> p (n_obs, n_vars), the probability that the count is of the foreground

log p(x) = log((1 - p) NB(x | background, theta) + p NB(x | foreground, theta))

mean = background (1 + p exp(rise)), because exp(softplus(rise)) = 1 + exp(rise)

Antibodies that bound nothing are counted too, to a level that each has of its own. As in totalVI the library is not
used: a panel is a choice of proteins of which a few hold most of the counts, so that the shares of all others fall when
one of these rises; and a cell in which no protein was measured, whose proteins are asked for, has no total.

Differs from [Gayoso21]: there the background of a protein is drawn for each cell around a level of the protein, with a
divergence from that in the loss; here it is the level times what the latent, and through it the batch, says of all
proteins of the cell, so that one protein alone tells cells apart by its foreground only. And the foreground is
1 + exp(rise) times the background, not 1 + relu(rise): a hundred times as much is common, and no large weight then.

References: [Gayoso21] totalVI, the part about proteins of its generative process.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from cellwright.core.minibatch import SparseRows
from cellwright.core.support import Support
from cellwright.likelihoods.fused import At, Density, Terms, fused_log_prob
from cellwright.likelihoods.head import Head, Likelihood
from cellwright.likelihoods.negative_binomial import (
    draw_rate,
    expected_rate,
    nb_at_value,
    nb_at_zero,
    sample_negative_binomial,
)

START_LEVEL = 1.0  # the logarithm of about three counts
START_RISE = 2.0  # a foreground of eight times as much; where both are alike nothing tells the one from the other
# Adam moves a number by its step size whatever the slope, and a level has no weights beside it that move along: 1,000
# steps of 1e-3 would take it one unit of the logarithm, where backgrounds differ by several
LEVEL_UNIT = 30.0


class NBBackground(Likelihood):
    """Counts of proteins: a background of antibodies that bound nothing, and the foreground of cells that have it.

    With about a thousand cells a model needs a `learning_rate` of 3e-4 for it, or stops too early.
    """

    name: Literal["nb_background"] = "nb_background"

    @property
    def support(self) -> Support:
        return Support.counts

    def head(self, n_hidden: int, n_vars: int) -> "NBBackgroundHead":
        return NBBackgroundHead(n_hidden, n_vars)


class NBBackgroundHead(Head):
    """Background, rise and p by layers of their own; theta starts at exp(uniform(0, 2)), as totalVI's proteins do."""

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.log_background = LogBackground(n_hidden, n_vars)
        self.rise = nn.Linear(n_hidden, n_vars)
        nn.init.constant_(self.rise.bias, START_RISE)
        self.foreground_logits = nn.Linear(n_hidden, n_vars)
        self.log_theta = nn.Parameter(2 * torch.rand(n_vars))

    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        p = torch.sigmoid(_linear(self.foreground_logits, h))
        return self.log_background(h).exp() * (1 + p * _linear(self.rise, h).exp())

    def foreground_given(
        self, h: Float[Tensor, "n_obs n_hidden"], x: SparseRows, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """The probability that the count x of a protein is of its foreground, h and x being known."""
        background, _, theta = self._means(h)
        rise = _linear(self.rise, h)
        # log NB(x | foreground) - log NB(x | background), of which all that is the same in both has been left out
        ratio = torch.log1p(background * rise.exp() / (theta + background))
        gain = x.dense() * (functional.softplus(rise) - ratio) - theta * ratio
        return torch.sigmoid(_linear(self.foreground_logits, h) + gain)

    def mean_given(
        self, h: Float[Tensor, "n_obs n_hidden"], x: SparseRows, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """Of either component what its rate is given x; a cell that has the protein has it at the second look too."""
        background, foreground, theta = self._means(h)
        p = self.foreground_given(h, x, library)
        return p * expected_rate(foreground, theta, x) + (1 - p) * expected_rate(background, theta, x)

    def draw_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        background, foreground, theta = self._means(h)
        is_foreground = torch.bernoulli(self.foreground_given(h, x, library), generator=generator)
        return draw_rate(torch.where(is_foreground > 0, foreground, background), theta, x, generator)

    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        theta, logits = self.log_theta.exp(), _linear(self.foreground_logits, h)
        return nb_background_log_prob(x, self.log_background(h), _linear(self.rise, h), theta, logits, where)

    @torch.no_grad()
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        background, foreground, theta = self._means(h)
        is_foreground = torch.bernoulli(torch.sigmoid(_linear(self.foreground_logits, h)), generator=generator)
        return sample_negative_binomial(torch.where(is_foreground > 0, foreground, background), theta, generator)

    def _means(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The means of background and foreground (n_obs, n_vars), and theta (n_vars,)."""
        background = self.log_background(h).exp()
        return background, background * (1 + _linear(self.rise, h).exp()), self.log_theta.exp()


class LogBackground(nn.Module):
    """log of what is counted of a protein that a cell has not: a level per feature and a depth per cell.

    The level is no parameter of the head itself, which `parts/likelihood_width.py` would take for a width.
    """

    def __init__(self, n_hidden: int, n_vars: int) -> None:
        super().__init__()
        self.depth = nn.Linear(n_hidden, 1)
        self.level = nn.Parameter(torch.full((n_vars,), START_LEVEL / LEVEL_UNIT))

    def forward(self, h: Float[Tensor, "n_obs n_hidden"]) -> Float[Tensor, "n_obs n_vars"]:
        return _linear(self.depth, h) + LEVEL_UNIT * self.level


def _linear(layer: nn.Linear, h: Tensor) -> Tensor:
    """The layer; in mixed precision its product alone is rounded, as the kernels of the other likelihoods do it."""
    return functional.linear(h, layer.weight).to(layer.bias.dtype) + layer.bias


def nb_background_log_prob(
    x: SparseRows,
    log_background: Float[Tensor, "n_obs n_vars"],
    rise: Float[Tensor, "n_obs n_vars"],
    theta: Float[Tensor, " n_vars"],
    logits: Float[Tensor, "n_obs n_vars"],
    where: Bool[Tensor, "n_obs n_vars"] | None = None,
) -> Float[Tensor, " n_obs"]:
    """Sum log p(x) over features, per cell; `logits` are those of the foreground."""
    return fused_log_prob(_DENSITY, x, (log_background, rise, theta, logits), where)


def _at_zero(log_background: Tensor, rise: Tensor, theta: Tensor, logits: Tensor) -> Terms:
    background = nb_at_zero(log_background, theta)
    foreground = nb_at_zero(log_background + functional.softplus(rise), theta)
    return _mixed(background, foreground, rise, logits)


def _at_value(x: Tensor, at: At, log_background: Tensor, rise: Tensor, theta: Tensor, logits: Tensor) -> Terms:
    background = nb_at_value(x, at, log_background, theta)
    foreground = nb_at_value(x, at, log_background + functional.softplus(rise), theta)
    return _mixed(background, foreground, at(rise), at(logits))


def _mixed(background: Terms, foreground: Terms, rise: Tensor, logits: Tensor) -> Terms:
    """Log p and its derivatives by log background, rise, theta and logits, from those of the two components."""
    in_background = functional.logsigmoid(-logits) + background[0]
    in_foreground = functional.logsigmoid(logits) + foreground[0]
    p_given, q_given = (torch.sigmoid(sign * (in_foreground - in_background)) for sign in (1, -1))  # given x
    by_background, by_foreground = q_given * background[1], p_given * foreground[1]
    by_theta = q_given * background[2] + p_given * foreground[2]
    by_rise, by_logits = by_foreground * torch.sigmoid(rise), p_given - torch.sigmoid(logits)
    log_prob = torch.logaddexp(in_background, in_foreground)
    return log_prob, by_background + by_foreground, by_rise, by_theta, by_logits


_DENSITY = Density(_at_zero, _at_value)
