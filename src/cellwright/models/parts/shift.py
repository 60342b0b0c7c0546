"""Shift: an option of models that predict responses: by how much treatment moves a cell, in whatever space.

options.build(schema, n_points) -> Shift;  learn(responses, rng);  shift(points, label, condition) -> (n_obs, n_points)
"""

from abc import ABC, abstractmethod
from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.errors import DataError
from cellwright.models.parts.responses import Means, Responses, too_few_labels

# what is known of a label under a condition: see `Known`
NOTHING, PREDICTABLE, TOO_FEW, ONLY = range(4)


class Shift(nn.Module, ABC):
    """By how much each cell moves."""

    @abstractmethod
    def learn(self, responses: Responses, rng: np.random.Generator) -> None:
        """Estimate it from training cells, for every condition that two labels or more have on both sides.

        Raises `DataError` where there are treated cells, but no such condition.
        """

    @abstractmethod
    def forward(
        self, points: Float[Tensor, "n_obs n_points"], label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_points"]:
        """The shift of cells of these labels under these conditions; zero for the control condition.

        Raises `DataError` for a label without control cells among the training cells, and for a condition without
        cells or with two sides of fewer than two labels.
        """


class ShiftOptions(Options, ABC):
    """Options of a shift."""

    name: str  # the key in SHIFTS, narrowed to a Literal by each shift

    @abstractmethod
    def build(self, schema: Schema, n_points: int) -> Shift:
        """A new shift, which has learnt nothing yet."""


class Known(nn.Module):
    """For which labels under which conditions a response can be predicted: those of the training cells.

    A condition may have been left out because too few labels had both sides: it is refused when it is asked for, and
    not before. Then `ONLY` is the label that had both, and `TOO_FEW` is every other one.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.pairs: Tensor
        self.register_buffer("pairs", torch.zeros(schema.n_labels, schema.n_conditions, dtype=torch.uint8))

    def learn(self, means: Means, conditions: Collection[int]) -> None:
        """Note the labels with control cells, and the treated conditions that were learnt."""
        self.pairs.fill_(NOTHING)
        for condition in set(means.treated) - set(conditions):
            self.pairs[:, condition] = TOO_FEW
            self.pairs[means.with_both(condition), condition] = ONLY
        self.pairs[np.ix_(means.with_control, [*conditions, means.control])] = PREDICTABLE

    def check(self, label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]) -> None:
        """Raise `DataError` for the first cell of which nothing is known."""
        found = self.pairs[label.clamp(min=0), condition.clamp(min=0)]
        found = found.masked_fill((label < 0) | (condition < 0), NOTHING)
        unknown = (found != PREDICTABLE).nonzero().flatten()
        if not len(unknown):
            return
        first = int(unknown[0])
        if found[first] != NOTHING:
            asked = int(condition[first])
            raise too_few_labels(self.schema, (self.pairs[:, asked] == ONLY).nonzero().flatten().tolist(), asked)
        assert self.schema.label is not None
        assert self.schema.condition is not None
        labels, conditions = (*self.schema.label.values, None), (*self.schema.condition.values, None)
        raise DataError(
            "a response can be predicted for labels that had control cells in training, and conditions that were "
            f"trained on; label {labels[int(label[first])]!r} under {conditions[int(condition[first])]!r} is none of "
            "these. Train on control cells of it, or ask for another."
        )
