"""PCA shift: the arithmetic of scGen with principal components in the place of the network.

    x (n_obs, n_vars) -components-> z (n_obs, n_latent) -+ shift-> z' -components transposed-> treated x'

What scGen has over it is due to the network.

References: [Lotfollahi19], figure 2, "PCA + vector arithmetic".
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
from cellwright.data.balance import AnyBalance, NoBalance
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.decoding import DECODINGS, Decoding, support_of
from cellwright.models.parts.latent_response import LatentResponse
from cellwright.models.parts.mean_shift import SharedShift
from cellwright.models.parts.shifts import AnyShift
from cellwright.models.parts.training_means import Scale
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn import transform as transforms


class PCAShiftOptions(Options):
    """Options of the PCA shift."""

    n_latent: int = Field(100, ge=1, description="number of components")
    shift: AnyShift = Field(SharedShift(), description="how far treatment moves a cell in the components")
    shift_balance: AnyBalance = Field(NoBalance(), description="remedy for unequal numbers of cells, in the shift")
    decoding: Decoding = Field(
        "residual", description="published: what is decoded; residual: the cell plus the change of what is decoded"
    )
    transform: Scale = Field("log_normalise", description="of the values")


class PCAShift(Model, Perturbs):
    """Principal components of the training cells, and a shift in them."""

    is_baseline = True
    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    citations = ("Lotfollahi19", "Pearson1901")

    def __init__(self, schema: Schema, options: PCAShiftOptions = PCAShiftOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: PCAShiftOptions = options
        self.pca = PCA(schema, PCAOptions(n_latent=options.n_latent, scale=False, transform=options.transform))
        self.response = LatentResponse(schema, self.pca.n_latent, options.shift, options.shift_balance)

    @property
    def support(self) -> Support:
        return max(transforms.support_of(self.options.transform), support_of(self.options.decoding))

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.pca.learn(source, rows, rng)
        self.response.learn(self.pca, source, rows, rng)

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        z = self.pca.encode(minibatch)
        treated = self.response(z, minibatch.label, condition)
        x = transforms.apply(self.options.transform, minibatch.x).dense()
        before, after = (latent @ self.pca.components.T + self.pca.offset + self.pca.centre for latent in (z, treated))
        return DECODINGS[self.options.decoding](x, before, after)
