"""To a mean: moves the cells of a label so that their mean is the predicted one.

predicted mean by label and condition (n_vars,), training cells -learn-> per label: what is added to each gene
x -> x - mean of the label's control cells + predicted mean, at least zero        `constant`
x -> counts added or lost by chance                                                `counts`, see `count_change.py`

The cells of a label that are asked for together reach the mean together; by counts, a single cell can be far from it.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.errors import OptionError
from cellwright.models.parts.count_change import changed_counts
from cellwright.models.parts.responses import Means
from cellwright.models.parts.shift import Known
from cellwright.models.parts.training_means import Scale
from cellwright.nn import transform as transforms

CellChange = Literal["counts", "constant"]


def support_of(change: CellChange, scale: Scale) -> Support:
    """Which values it can be used on."""
    return Support.counts if change == "counts" else transforms.support_of(scale)


class ToMean(nn.Module):
    """Moves control cells to predicted means.

    Raises `OptionError` for counts by chance on a scale without logarithms.
    """

    def __init__(self, schema: Schema, change: CellChange, scale: Scale) -> None:
        super().__init__()
        if change == "counts" and scale == "none":
            raise OptionError(
                "cells='counts' must come with transform='log_normalise': molecules are added and lost until a mean of "
                "logarithms is reached; it came with transform='none'. Choose cells='constant', or take logarithms."
            )
        self.schema = schema
        self.scale: Scale = scale
        self.known = Known(schema)
        self.change: CellChange = change
        self.table: Tensor
        self.register_buffer("table", torch.zeros(schema.n_labels, schema.n_conditions, schema.n_vars))

    def learn(self, means: Means, predicted: dict[int, np.ndarray]) -> None:
        """Take the `predicted` means `(n_labels, n_vars)` by condition, of the labels that have control cells."""
        self.known.learn(means, predicted.keys())
        self.table.zero_()
        for condition, of_labels in predicted.items():
            for label in means.with_control:
                change = of_labels[label] - means.mean[label, means.control]
                self.table[label, condition] = torch.from_numpy(change).to(self.table)

    def forward(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """The cells under their conditions, on the scale."""
        self.known.check(minibatch.label, condition)
        change = self.table[minibatch.label, condition]
        if self.change == "constant":
            moved = transforms.apply(self.scale, minibatch.x).dense() + change
            return moved if self.scale == "none" else moved.clamp(min=0)
        x, library = minibatch.x.dense(), minibatch.library
        moved = torch.empty_like(x)
        kinds = torch.stack([minibatch.label, condition], dim=1)
        for kind in kinds.unique(dim=0):
            rows = torch.nonzero((kinds == kind).all(dim=1)).flatten()
            moved[rows] = changed_counts(x[rows], library[rows], change[rows[0]], generator)
        return moved
