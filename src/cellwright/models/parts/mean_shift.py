"""Mean shift: all cells of a label move by the same amount, a difference of means over training cells.

    means by label and condition -> shift (n_labels, n_conditions, n_points)

`raw`       mean of all treated cells minus mean of all control cells: what differs in composition is taken for response
`balanced`  the same with every label counted equally, as published [Lotfollahi19]. The published code resamples each
            label to the largest; this is its expectation. A held-out label is still in the control mean only
`shared`    the mean change of the labels that have both sides
`similar`   their mean, weighted by exp(t (r - largest r)), r the correlation of a label's control mean with that of the
            label to be predicted; t is the one that predicts each of these labels best from the others
`common`    the mean of `shared` over the treated conditions, for every condition the same: it knows no treatment, and
            is what predictions of a screen are held against [Roohani25]

References: [Lotfollahi19] scGen; [Roohani25] Virtual Cell Challenge.
"""

from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from cellwright.core.schema import Schema
from cellwright.models.parts.responses import Means, Responses
from cellwright.models.parts.shift import Known, Shift, ShiftOptions

# of `similar`: 0 is `shared`; at 100, a correlation less by .05 has a weight of .007
TEMPERATURES = (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)


class MeanShiftOptions(ShiftOptions):
    """A shift that needs the means only."""

    def build(self, schema: Schema, n_points: int) -> "MeanShift":
        return MeanShift(self, schema, n_points)

    @abstractmethod
    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        """The shift of one label under one condition, (n_points,)."""


class MeanShift(Shift):
    """A table of shifts by label and condition."""

    def __init__(self, options: MeanShiftOptions, schema: Schema, n_points: int) -> None:
        super().__init__()
        self.options = options
        self.known = Known(schema)
        self.table: Tensor
        self.register_buffer("table", torch.zeros(schema.n_labels, schema.n_conditions, n_points))

    def learn(self, responses: Responses, rng: np.random.Generator) -> None:
        self.learn_from(responses.means)

    def learn_from(self, means: Means) -> None:
        """The same from the means, where the cells themselves are not at hand."""
        conditions = means.learnable()
        self.known.learn(means, conditions)
        self.table.zero_()
        for condition in conditions:
            for label in means.with_control:
                shift = self.options.of_label(means, label, condition)
                self.table[label, condition] = torch.from_numpy(shift).to(self.table)

    def forward(
        self, points: Float[Tensor, "n_obs n_points"], label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_points"]:
        self.known.check(label, condition)
        return self.table[label, condition]


class RawShift(MeanShiftOptions):
    """Difference of the means of all cells."""

    name: Literal["raw"] = "raw"

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        def mean(side: int) -> np.ndarray:
            return np.average(means.mean[:, side], axis=0, weights=means.weight[:, side])

        return mean(condition) - mean(means.control)


class BalancedShift(MeanShiftOptions):
    """Difference of the means over labels, each counted once: as published."""

    name: Literal["balanced"] = "balanced"

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        def mean(side: int) -> np.ndarray:
            return means.mean[means.weight[:, side] > 0, side].mean(axis=0)

        return mean(condition) - mean(means.control)


class SharedShift(MeanShiftOptions):
    """Mean change of the labels that have both sides."""

    name: Literal["shared"] = "shared"

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        return means.change(means.shared(condition), condition).mean(axis=0)


class CommonShift(MeanShiftOptions):
    """Mean over the treated conditions of the mean change of the labels that have both sides."""

    name: Literal["common"] = "common"

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        return np.mean([means.change(means.shared(one), one).mean(axis=0) for one in means.learnable()], axis=0)


class SimilarShift(MeanShiftOptions):
    """Mean change of the labels that have both sides, those counting most that are most like the label without."""

    name: Literal["similar"] = "similar"
    temperature: float | None = Field(
        None, ge=0, description="how much more the most similar labels count; None: chosen by leaving out each in turn"
    )

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        shared = means.shared(condition)
        change = means.change(shared, condition)
        temperature = self.temperature if self.temperature is not None else chosen_temperature(means, shared, condition)
        return weights_of(similarity(means, shared, label), temperature) @ change


def similarity(means: Means, labels: np.ndarray, label: int) -> np.ndarray:
    """Pearson correlation of the control mean of each of `labels` with that of `label`, (n,)."""
    centred = means.mean[:, means.control] - means.mean[:, means.control].mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1).clip(1e-12)
    return (centred[labels] @ centred[label]) / (lengths[labels] * lengths[label])


def weights_of(similarities: np.ndarray, temperature: float) -> np.ndarray:
    """exp(t (r - largest r)), with the sum 1."""
    weights = np.exp(temperature * (similarities - similarities.max()))
    return weights / weights.sum()


def chosen_temperature(means: Means, shared: np.ndarray, condition: int) -> float:
    """The temperature with the least squared error, predicting the change of each shared label from the others."""
    change = means.change(shared, condition)
    errors = np.zeros(len(TEMPERATURES))
    for left_out in range(len(shared)):
        others = np.delete(np.arange(len(shared)), left_out)
        similarities = similarity(means, shared[others], int(shared[left_out]))
        for index, temperature in enumerate(TEMPERATURES):
            predicted = weights_of(similarities, temperature) @ change[others]
            errors[index] += np.square(predicted - change[left_out]).sum()
    return TEMPERATURES[int(errors.argmin())]
