"""Gene shift: adds to every cell the change of means that other labels showed. No network.

    means of the training cells by label and condition -shift-> (n_labels, n_conditions, n_vars)
    x + shift(label, condition), at least zero -> treated x

With `similar` it is the baseline that networks find hardest to beat (docs/perturbation.md).

References: [AhlmannEltze25], simple baselines of responses; [Lotfollahi19], vector arithmetic in gene space.
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
from cellwright.errors import OptionError
from cellwright.models.model import Model
from cellwright.models.parts.mean_shift import MeanShift, MeanShiftOptions, SharedShift
from cellwright.models.parts.shifts import AnyShift
from cellwright.models.parts.training_means import Scale, training_means
from cellwright.nn import transform as transforms


class GeneShiftOptions(Options):
    """Options of the gene shift."""

    shift: AnyShift = Field(SharedShift(), description="how far treatment moves a cell: by means only")
    transform: Scale = Field("log_normalise", description="of the values; values without logarithms are not clipped")


class GeneShift(Model, Perturbs):
    """Moves every cell by the same amount, gene by gene."""

    is_baseline = True
    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    citations = ("AhlmannEltze25", "Lotfollahi19")

    def __init__(self, schema: Schema, options: GeneShiftOptions = GeneShiftOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: GeneShiftOptions = options
        if not isinstance(options.shift, MeanShiftOptions):
            raise OptionError(
                f"shift of GeneShift must be a shift of means (raw, balanced, shared, similar, common or linear); it "
                f"is {options.shift.name!r}, which needs a latent. Use it with pca_shift or scgen."
            )
        self.shift: MeanShift = options.shift.build(schema, schema.n_vars)

    @property
    def support(self) -> Support:
        return transforms.support_of(self.options.transform)

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.shift.learn_from(training_means(source, rows, self.options.transform))

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        x = transforms.apply(self.options.transform, minibatch.x).dense()
        moved = x + self.shift(x, minibatch.label, condition)
        return moved.clamp(min=0) if self.takes_logarithms else moved
