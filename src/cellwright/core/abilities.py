"""Abilities: what a task may ask of a model. Interfaces without code or state.

A baseline has the same abilities as a network, so that it stands in the same tables.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from cellwright.core.minibatch import Minibatch


class Encodes(ABC):
    """Places cells in a latent space."""

    @abstractmethod
    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The latent of each cell; deterministic."""


class Decodes(ABC):
    """Gives a distribution over features for a latent."""

    @abstractmethod
    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        """The mean over features, on the scale of the data; batch, covariates and library are the minibatch's."""

    @abstractmethod
    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        """E[log(1 + 10,000 x / library) | latent]: what to predict of log-normalised values.

        For counts this is less than the same of the mean, because the logarithm is concave: log(1 + E x) would make a
        model of counts look worse than one that was trained on logarithms.
        """

    @abstractmethod
    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        """log p(x | latent) of each cell in nats, on the scale on which the model's likelihood is defined."""


ABILITIES: dict[str, type] = {"encodes": Encodes, "decodes": Decodes}


def abilities_of(cls: type) -> tuple[str, ...]:
    """The names of the abilities that a model class has."""
    return tuple(name for name, ability in ABILITIES.items() if issubclass(cls, ability))
