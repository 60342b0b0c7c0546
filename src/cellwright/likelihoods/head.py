"""Likelihood: p(x | decoder output). Frozen options make a head; a head evaluates, averages and samples.

    h (n_obs, n_hidden) -Head.log_prob(h, x)-> log p(x | h) (n_obs,), in nats per cell

A head is sparse-aware: special functions are evaluated where x > 0 only, zeros in closed form.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.core.options import Options
from cellwright.core.support import Support


class Likelihood(Options, ABC):
    """Options of a distribution over features; `head` builds the part of a network that computes it."""

    name: str  # the key in LIKELIHOODS, narrowed to a Literal by each likelihood

    @property
    @abstractmethod
    def support(self) -> Support:
        """Which values it is defined on."""

    @abstractmethod
    def head(self, n_hidden: int, n_vars: int) -> "Head":
        """A new head with its own weights."""


class Head(nn.Module, ABC):
    """The last layer of a decoder together with p(x | its output)."""

    @abstractmethod
    def log_prob(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        """Sum log p(x | h) over the features, or over those in `where` if it is given."""

    @abstractmethod
    def mean(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """E[x | h]."""

    def mean_given(
        self, h: Float[Tensor, "n_obs n_hidden"], x: SparseRows, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected of a second measurement of the same cells, x being the first: E[x | h], for most.

        A likelihood under which a cell's own rate varies around the mean has learned something of it from x.
        """
        return self.mean(h, library)

    def draw_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """One draw of what `mean_given` is the mean of: a cell's own rates; no draw where these do not vary."""
        return self.mean_given(h, x, library)

    def draw_counts_given(
        self,
        h: Float[Tensor, "n_obs n_hidden"],
        x: SparseRows,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """A second measurement of the same cells as it could be, of a likelihood of counts: Poisson of their rates."""
        return torch.poisson(self.draw_given(h, x, library, generator), generator)

    @abstractmethod
    def sample(
        self, h: Float[Tensor, "n_obs n_hidden"], library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """One draw from p(x | h) per cell."""


def log_mean_of(
    logits: Float[Tensor, "n_obs n_vars"], library: Float[Tensor, "n_obs 1"]
) -> Float[Tensor, "n_obs n_vars"]:
    """The logarithm of library * softmax(logits); minus infinity for a cell without counts.

    The logarithm stays exact where the share itself underflows, so that a count there has a finite log-probability.
    """
    return library.log() + torch.log_softmax(logits.to(library.dtype), dim=-1)
