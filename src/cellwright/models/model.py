"""Model: built from a schema and options; tells the trainer its objectives, a task its abilities.

(Schema, Options) -> Model;  prepare() -> what a stage needs beforehand;  stages() -> objectives for the trainer
learn() -> what is estimated without gradients afterwards
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from torch import nn

from cellwright.core.objective import Objective
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.errors import DataError, OptionError

# what a model may need of the data: what it is to the user, and the argument of `open_data` that gives it
_NEEDED = {
    "steps": ("rows that are sequences of steps", "step_key"),
    "label": ("labels to learn", "label_key"),
    "coordinates": ("the places of cells", "coordinates_key"),
    "condition": ("treated and untreated cells", "condition_key"),
    "control": ("the name of the untreated condition", "control"),
}


class Model(nn.Module, ABC):
    """Base of all models, networks and baselines alike; abilities stand beside it (`class VAE(Model, Encodes)`)."""

    reads: ClassVar[frozenset[str]] = frozenset({"views"})  # fields of the minibatch that it looks at
    needs: ClassVar[frozenset[str]] = frozenset()  # fields of the schema without which it cannot be built
    is_baseline: ClassVar[bool] = False
    reads_several: ClassVar[bool] = False  # modalities; most read one
    validates_on: ClassVar[str | None] = "loss"  # the term that stops training early; None trains for all epochs
    usual_epochs: ClassVar[int | None] = None  # passes over the cells, where the user says nothing; None: the trainer's
    learnt_after: ClassVar[frozenset[str]] = frozenset()  # options that only `learn` and what comes after it look at
    citations: ClassVar[tuple[str, ...]] = ()  # keys in docs/references.bib

    def __init__(self, schema: Schema, options: Options) -> None:
        super().__init__()
        if len(schema.modalities) != 1 and not self.reads_several:
            raise OptionError(
                f"{type(self).__name__} reads one modality; the data have {', '.join(schema.modalities)}. "
                f"Choose one: open_data(..., modality={schema.modalities[0]!r})."
            )
        for field in sorted(self.needs):
            what, key = _NEEDED[field]
            if getattr(schema, field) is None:
                raise DataError(
                    f"{type(self).__name__} must have {what}; the data were opened without {key}. "
                    f"Give it: open_data(..., {key}=...)."
                )
        self.schema = schema
        self.options = options
        self.fitted = False
        self.name: str | None = None  # in MODELS, if it was built by name

    @property
    @abstractmethod
    def support(self) -> Support:
        """Which values it can use, of the first modality."""

    def support_in(self, modality: str) -> Support:
        """Which values it can use of a modality; a model of several says it of each."""
        return self.support

    @property
    def pretrained(self) -> str | None:
        """The run folder that an option names, whose weights it starts from (see `take`); None for most."""
        return None

    def take(self, other: "Model") -> None:
        """Copy the weights that it starts from out of another fitted model, features matched by name.

        Raises `OptionError` for a model that it can take nothing from.
        """
        raise OptionError(f"{type(self).__name__} takes no weights from another run; it was given {other.name}.")

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Estimate from `rows` only what the stage needs beforehand: a graph, the scale of a latent; fills buffers.

        `fit` calls it before each stage, and not again for a stage that it resumes.
        """

    def stages(self) -> list[list[Objective]]:
        """Objectives of each stage of training, run in order; none for what learns without gradients."""
        return []

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Estimate without gradients, from `rows` only, after the stages; it fills buffers, which are saved."""
