"""No change: treated cells look like control cells. The floor of every comparison of responses.

    x (n_obs, n_vars) -> x

On gene means it already correlates highly with the truth, because most genes do not respond.

References: [AhlmannEltze25], why no comparison of responses may be without it.
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
from cellwright.models.parts.shift import Known
from cellwright.models.parts.training_means import Scale, training_means
from cellwright.nn import transform as transforms


class NoChangeOptions(Options):
    """Options of no change."""

    transform: Scale = Field("log_normalise", description="of the values")


class NoChange(Model, Perturbs):
    """Gives every cell back as it is."""

    is_baseline = True
    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    citations = ("AhlmannEltze25",)

    def __init__(self, schema: Schema, options: NoChangeOptions = NoChangeOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: NoChangeOptions = options
        self.known = Known(schema)

    @property
    def support(self) -> Support:
        return transforms.support_of(self.options.transform)

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        means = training_means(source, rows, self.options.transform)
        self.known.learn(means, means.treated)

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        self.known.check(minibatch.label, condition)
        return transforms.apply(self.options.transform, minibatch.x).dense()
