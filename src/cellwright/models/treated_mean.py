"""Treated mean: every treated cell is the mean of the treated training cells, whatever its label.

    treated training cells -mean-> (n_conditions, n_vars);  x -> that mean

It knows the treatment and nothing of the cell; what beats no change but not this has learnt only the common response.

References: [AhlmannEltze25].
"""

import numpy as np
import torch
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
from cellwright.models.parts.shift import Known
from cellwright.models.parts.training_means import Scale, training_means
from cellwright.nn import transform as transforms


class TreatedMeanOptions(Options):
    """Options of the treated mean."""

    transform: Scale = Field("log_normalise", description="of the values")


class TreatedMean(Model, Perturbs):
    """Predicts one profile for all cells of a condition."""

    is_baseline = True
    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    citations = ("AhlmannEltze25",)

    def __init__(self, schema: Schema, options: TreatedMeanOptions = TreatedMeanOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: TreatedMeanOptions = options
        self.known = Known(schema)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(schema.n_conditions, schema.n_vars))

    @property
    def support(self) -> Support:
        return transforms.support_of(self.options.transform)

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        means = training_means(source, rows, self.options.transform)
        self.known.learn(means, means.treated)
        total = (means.mean * means.weight[:, :, None]).sum(axis=0)
        self.mean.copy_(torch.from_numpy(total / means.weight.sum(axis=0).clip(1)[:, None]))

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        self.known.check(minibatch.label, condition)
        return self.mean[condition]
