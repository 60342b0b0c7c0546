"""Gaussian process response: the mean of a label under treatment, from the means of all labels and their noise.

    training cells -means, variances, numbers-> Gaussian process over labels and conditions -> expected treated means
    x -> moved to the expected mean of its label

No network. Gene shifts take the measured mean of a label's control cells for granted; where cells are few, its noise is
a large part of the error. The two lengths of the process are chosen by leaving out each label's treated cells in turn.

References: [Rasmussen06]; [Robinson91] best linear unbiased prediction.
"""

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Perturbs
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.gaussian_process import chosen_lengths, expected_means
from cellwright.models.parts.to_mean import CellChange, ToMean, support_of
from cellwright.models.parts.training_means import Scale, training_means


class GPResponseOptions(Options):
    """Options of the Gaussian process response."""

    cells: CellChange = Field(
        "constant", description="how cells reach the mean: the same added to all, or counts by chance (counts only)"
    )
    transform: Scale = Field("log_normalise", description="of the values")


class GPResponse(Model, Perturbs):
    """Best linear unbiased prediction of means; cells keep their deviation from the mean."""

    is_baseline = True
    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    citations = ("Rasmussen06", "Robinson91")

    def __init__(self, schema: Schema, options: GPResponseOptions = GPResponseOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: GPResponseOptions = options
        self.to_mean = ToMean(schema, options.cells, options.transform)

    @property
    def support(self) -> Support:
        return support_of(self.options.cells, self.options.transform)

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        means = training_means(source, rows, self.options.transform)
        predicted = {
            condition: expected_means(means, condition, chosen_lengths(means, condition))
            for condition in means.learnable()
        }
        self.to_mean.learn(means, predicted)

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.to_mean(minibatch, condition, generator)
