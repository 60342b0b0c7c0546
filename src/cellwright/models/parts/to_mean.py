"""To a mean: moves the cells of a label so that their mean is the predicted one.

predicted mean by label and condition (n_vars,), training cells -learn-> per label: what is added to each gene
x -> x - mean of the label's control cells + predicted mean, at least zero        `constant`
x -> counts added or lost by chance                                                `counts`, see `count_change.py`
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.parts.count_change import CountChange
from cellwright.models.parts.responses import Means
from cellwright.models.parts.shift import Known
from cellwright.models.parts.training_means import Scale
from cellwright.nn import transform as transforms

CellChange = Literal["counts", "constant"]


def support_of(change: CellChange, scale: Scale) -> Support:
    """Which values it can be used on."""
    return Support.counts if change == "counts" else transforms.support_of(scale)


class ToMean(nn.Module):
    """Moves control cells to predicted means."""

    def __init__(self, schema: Schema, change: CellChange, scale: Scale) -> None:
        super().__init__()
        self.schema = schema
        self.scale: Scale = scale
        self.known = Known(schema)
        self.table: Tensor
        self.register_buffer("table", torch.zeros(schema.n_labels, schema.n_conditions, schema.n_vars))
        self.counts = CountChange(schema) if change == "counts" else None

    def learn(
        self, source: Source, rows: np.ndarray, means: Means, predicted: dict[int, np.ndarray], rng: np.random.Generator
    ) -> None:
        """Take the `predicted` means `(n_labels, n_vars)` by condition, of the labels that have control cells."""
        self.known.learn(means)
        self.table.zero_()
        changes = {}
        for condition, of_labels in predicted.items():
            for label in means.with_control:
                change = of_labels[label] - means.mean[label, means.control]
                self.table[label, condition] = torch.from_numpy(change).to(self.table)
                changes[label, condition] = change
        if self.counts is not None:
            self.counts.learn(source, rows, changes, rng)

    def forward(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """The cells under their conditions, on the scale."""
        self.known.check(minibatch.label, condition)
        if self.counts is not None:
            return self.counts(minibatch, condition, generator)
        moved = transforms.apply(self.scale, minibatch.x).dense() + self.table[minibatch.label, condition]
        return moved if self.scale == "none" else moved.clamp(min=0)
