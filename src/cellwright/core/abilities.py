"""Abilities: what a task may ask of a model. Interfaces without code or state.

A baseline has the same abilities as a network, so that it stands in the same tables.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Generator, Tensor

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


class Classifies(ABC):
    """Says which label a cell (or a sequence) has."""

    @abstractmethod
    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        """The probability of each label of the schema; rows sum to one; deterministic."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Cells to be made: label, batch, condition of each, as codes of the schema; -1 leaves it to the training cells."""

    label: Int[Tensor, " n_obs"]
    batch: Int[Tensor, " n_obs"]
    condition: Int[Tensor, " n_obs"]


class Generates(ABC):
    """Makes new cells, of given labels, batches and conditions where the training cells had these."""

    @property
    @abstractmethod
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        """How many training cells each label had in each batch under each condition; the last of each is of unknown.

        What no training cell had cannot be asked for.
        """

    @abstractmethod
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """New cells on the scale of the data (counts where it was trained on counts), drawn with the generator."""


class Imputes(ABC):
    """Fills in what the measurement missed."""

    @abstractmethod
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected of a second measurement of each cell, this being the first, on the scale of the data.

        A second measurement has the same library. What is averaged over draws is drawn with the generator.
        """


class Draws(ABC):
    """Says how sure it is of what it fills in."""

    @abstractmethod
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """One draw of what could be expected of a second measurement, from what is held possible after the first.

        The mean of many draws is what `Imputes.impute` gives; their spread is that of an expectation, not of counts. A
        model with neither latents nor rates that vary gives the expectation itself.
        """

    @abstractmethod
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A second measurement as it could be, with the noise of counting; of models of counts only."""


class Translates(ABC):
    """Says what a modality that was not measured on a cell would be, from those that were."""

    @abstractmethod
    def translate(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """What is expected of the modality given the others of the cell, on the scale of the data.

        The cell's own values of it are not looked at. NaN where a cell has no other modality. What is averaged over
        draws is drawn with the generator.
        """


class DrawsModality(ABC):
    """Makes a modality that was not measured on a cell, as a measurement could be."""

    @abstractmethod
    def draw_modality(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """One draw of what `Translates.translate` gives the expectation of, with the noise of measurement."""


class Forecasts(ABC):
    """Continues a sequence."""

    @abstractmethod
    def forecast(
        self, minibatch: Minibatch, n_steps: int, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        """The next `n_steps` steps of each sequence of each row, in the unit of the data: what is expected.

        They lie behind the last step of the schema's sequence (whether or not the row has it), its median gap apart.
        With `hidden`, the last so many steps of each sequence are not looked at, and are the first to be forecast, at
        their own times. NaN where a row has no step of the sequence, or the sequence has no such quantity.
        """


class DrawsForecast(ABC):
    """Says how sure it is of how a sequence goes on."""

    @abstractmethod
    def draw_forecast(
        self, minibatch: Minibatch, n_steps: int, generator: Generator, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        """One draw of the steps that `Forecasts.forecast` gives the expectation of: a path as it could be measured.

        The draw of a row does not depend on the others.
        """


class Perturbs(ABC):
    """Says how cells would look under a treatment that they did not have."""

    @abstractmethod
    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """Each cell as it would be under its `condition`, on the scale of `takes_logarithms`.

        The same generator gives the same cells. Raises `DataError` for a label (-1 is unknown) and a condition of which
        the training cells tell nothing.
        """

    @property
    @abstractmethod
    def takes_logarithms(self) -> bool:
        """Whether it speaks of log(1 + 10,000 x / library); else of the data as they are."""


@dataclass(frozen=True, eq=False)
class Attention:
    """How much each cell attends to each of its neighbours: positions among the reference cells, and weights."""

    neighbours: Int[Tensor, "n_obs n_neighbors"]
    weights: Float[Tensor, "n_obs n_neighbors"]  # rows sum to one; zero where a cell has fewer neighbours
    label: Int[Tensor, " n_references"]  # of each reference cell, -1 where unknown
    batch: Int[Tensor, " n_references"]
    itself: Int[Tensor, " n_obs"]  # position of the cell among the references, -1 if it is none of them


class Attends(ABC):
    """Weighs the neighbours of a cell."""

    @abstractmethod
    def attend(self, minibatch: Minibatch) -> Attention:
        """The neighbours of each cell and their weights; deterministic."""


ABILITIES: dict[str, type] = {
    "encodes": Encodes,
    "decodes": Decodes,
    "classifies": Classifies,
    "generates": Generates,
    "imputes": Imputes,
    "draws": Draws,
    "translates": Translates,
    "draws_modality": DrawsModality,
    "forecasts": Forecasts,
    "draws_forecast": DrawsForecast,
    "attends": Attends,
    "perturbs": Perturbs,
}


def abilities_of(cls: type) -> tuple[str, ...]:
    """The names of the abilities that a model class has."""
    return tuple(name for name, ability in ABILITIES.items() if issubclass(cls, ability))
