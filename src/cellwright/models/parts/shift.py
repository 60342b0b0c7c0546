"""Shift: an option of models that predict responses: by how much treatment moves a cell, in whatever space.

options.build(schema, n_points) -> Shift;  learn(responses, rng);  shift(points, label, condition) -> (n_obs, n_points)
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.errors import DataError
from cellwright.models.parts.responses import Means, Responses


class Shift(nn.Module, ABC):
    """By how much each cell moves."""

    @abstractmethod
    def learn(self, responses: Responses, rng: np.random.Generator) -> None:
        """Estimate it from training cells. Raises `DataError` where fewer than two labels have both sides."""

    @abstractmethod
    def forward(
        self, points: Float[Tensor, "n_obs n_points"], label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_points"]:
        """The shift of cells of these labels under these conditions; zero for the control condition.

        Raises `DataError` for a label without control cells or a condition without cells among the training cells.
        """


class ShiftOptions(Options, ABC):
    """Options of a shift."""

    name: str  # the key in SHIFTS, narrowed to a Literal by each shift

    @abstractmethod
    def build(self, schema: Schema, n_points: int) -> Shift:
        """A new shift, which has learnt nothing yet."""


class Known(nn.Module):
    """For which labels under which conditions a response can be predicted: those of the training cells."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.pairs: Tensor
        self.register_buffer("pairs", torch.zeros(schema.n_labels, schema.n_conditions, dtype=torch.bool))

    def learn(self, means: Means) -> None:
        """Note the labels with control cells, and the conditions that any label has."""
        self.pairs.zero_()
        conditions = [*means.treated, means.control]
        self.pairs[np.ix_(means.with_control, conditions)] = True

    def check(self, label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]) -> None:
        """Raise `DataError` for the first cell of which nothing is known."""
        known = self.pairs[label.clamp(min=0), condition.clamp(min=0)] & (label >= 0) & (condition >= 0)
        if known.all():
            return
        first = int((~known).nonzero()[0])
        assert self.schema.label is not None
        assert self.schema.condition is not None
        labels, conditions = (*self.schema.label.values, None), (*self.schema.condition.values, None)
        raise DataError(
            "a response can be predicted for labels that had control cells in training, and conditions that were "
            f"trained on; label {labels[int(label[first])]!r} under {conditions[int(condition[first])]!r} is none of "
            "these. Train on control cells of it, or ask for another."
        )
