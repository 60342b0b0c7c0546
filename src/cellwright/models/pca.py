"""Principal component analysis: the baseline that every embedding has to beat.

    x -log-normalise, centre (and scale)-> y (n_obs, n_vars) -components-> z (n_obs, n_latent)

Exact, in one pass over the training rows, while the covariance (n_vars, n_vars) is small enough; above `EXACT_N_VARS`
features by randomised subspace iteration [Halko11], a few passes. Nothing is densified beyond a block of cells.

References: [Pearson1901], [Hotelling33]; [Halko11] for many features; [Tipping99] for p(x | z).
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cellwright.core.abilities import Decodes, Encodes
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.models.model import Model
from cellwright.models.parts.moments import BLOCK_ROWS, filled, moments, support_with_gaps
from cellwright.nn import transform as transforms
from cellwright.nn.transform import Transform

EXACT_N_VARS = 5000  # the covariance then takes 200 MB in float64, its eigenvectors about 20 s
POWER_ITERATIONS = 4
OVERSAMPLING = 20


class PCAOptions(Options):
    """Options of PCA."""

    n_latent: int = Field(30, ge=1, description="number of components; at most as many as there are features")
    scale: bool = Field(default=True, description="scale every feature to unit variance on the training cells")
    max_value: float = Field(10.0, gt=0, description="values beyond this many standard deviations are cut, if scaled")
    transform: Transform = Field("log_normalise", description="of the values before centring")
    centre: Literal["all", "batch"] = Field(
        "all", description="whose mean is taken off: that of all training cells, or that of the cell's batch"
    )


class PCA(Model, Encodes, Decodes):
    """Projects cells on the directions of largest variance of the training cells.

    Centred by batch, a cell of an unknown batch has the mean of the batches' means taken off.
    """

    is_baseline = True
    reads = frozenset({"views", "batch"})
    exact_n_vars: int | None = None  # in the place of EXACT_N_VARS, where it is a part that need not be exact
    may_lack_components = False  # where it is a part: of few cells, those beyond what they span are zero
    centre: Tensor
    spread: Tensor
    offset: Tensor
    batch_offset: Tensor
    components: Tensor
    residual_variance: Tensor
    citations = ("Pearson1901", "Hotelling33")

    def __init__(self, schema: Schema, options: PCAOptions = PCAOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: PCAOptions = options
        self.n_latent = min(options.n_latent, schema.n_vars)  # a protein panel may have ten features
        self.register_buffer("centre", torch.zeros(schema.n_vars))
        self.register_buffer("spread", torch.ones(schema.n_vars))
        self.register_buffer(
            "offset", torch.zeros(schema.n_vars)
        )  # mean of the standardised values: cutting moves it off zero
        # of a batch beyond that of all; the last is of an unknown batch
        n_offsets = schema.n_batch + 1 if options.centre == "batch" else 0
        self.register_buffer("batch_offset", torch.zeros(n_offsets, schema.n_vars))
        self.register_buffer("components", torch.zeros(schema.n_vars, self.n_latent))
        self.register_buffer("residual_variance", torch.ones(()))

    @property
    def support(self) -> Support:
        return support_with_gaps(self.options.transform, self.schema)

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.standardised(minibatch) @ self.components

    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.decode_at(latent, minibatch.library, self._offset_of_batch(minibatch))

    def decode_at(
        self,
        latent: Float[Tensor, "n_obs n_latent"],
        library: Float[Tensor, "n_obs 1"],
        offset: Tensor | float = 0.0,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """The mean over features, on the scale of the data, of cells of the given library; `offset` is of batches."""
        values = (latent @ self.components.T + self.offset + offset) * self.spread + self.centre
        return transforms.invert(self.options.transform, values, library)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        return transforms.log_normalised(self.decode(latent, minibatch), minibatch.library)

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        """Of the standardised values; the noise has the mean variance that is left over [Tipping99, equation 8]."""
        error = self.standardised(minibatch) - latent @ self.components.T
        constant = error.shape[1] * torch.log(2 * math.pi * self.residual_variance)
        return -0.5 * (error.square().sum(dim=1) / self.residual_variance + constant)

    def standardised(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        """Transformed values minus the training mean, in training standard deviations if scaled."""
        values = self.standardise(transforms.apply(self.options.transform, minibatch.x))
        return values - self._offset_of_batch(minibatch)

    def standardise(self, transformed: SparseRows) -> Float[Tensor, "n_obs n_vars"]:
        """The same of values that are transformed already; what was not measured is at the training mean."""
        values = (filled(transformed.dense(), self.centre) - self.centre) / self.spread
        if self.options.scale:
            values = values.clamp(-self.options.max_value, self.options.max_value)
        return values - self.offset

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if len(rows) <= self.n_latent and not self.may_lack_components:
            raise DataError(
                f"PCA with {self.n_latent} components must have more training cells than that; it has "
                f"{len(rows)}. Use a smaller n_latent."
            )
        variance = self.learn_scale(source, rows)
        explained, components = self._leading(_Blocks(source, rows, self.components.device), rng)
        components[:, max(0, len(rows) - 1) :] = 0  # directions in which the cells do not vary are any directions
        self.components.copy_(components)
        left = float(variance.sum() - explained.sum()) / max(1, self.schema.n_vars - self.n_latent)
        self.residual_variance.fill_(max(left, 1e-12))

    def learn_scale(self, source: Source, rows: np.ndarray) -> Float[Tensor, " n_vars"]:
        """Centre and spread of every feature; the variance of the standardised values, (n_vars,)."""
        device = self.components.device
        mean, variance = moments(source, rows, lambda m: transforms.apply(self.options.transform, m.x).dense(), device)
        self.centre.copy_(mean)
        self.spread.fill_(1)
        if self.options.scale:
            # a feature that never varies stays at zero
            self.spread.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))
        self.offset.zero_()  # of an earlier fit
        self.batch_offset.zero_()
        mean, variance = moments(source, rows, self.standardised, device)
        self.offset.copy_(mean)
        if self.options.centre == "batch":
            self.batch_offset.copy_(self._batch_means(source, rows))
            _, variance = moments(source, rows, self.standardised, device)
        return variance

    def _offset_of_batch(self, minibatch: Minibatch) -> Tensor:
        if self.options.centre == "all":
            return self.offset.new_zeros(())
        return self.batch_offset[minibatch.batch % len(self.batch_offset)]

    def _batch_means(self, source: Source, rows: np.ndarray) -> Float[Tensor, "n_batch_and_none n_vars"]:
        """Of the standardised values; of a batch without training cells, and of an unknown one, the mean of these."""
        total, n = torch.zeros_like(self.batch_offset).double(), torch.zeros(len(self.batch_offset)).to(self.offset)
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            cells = minibatch.to(self.offset.device)
            code = cells.batch % len(n)
            total.index_add_(0, code, self.standardised(cells).double())
            n.index_add_(0, code, torch.ones_like(code).to(n))
        known = n[:-1] > 0
        means = total[:-1][known] / n[:-1][known, None]
        total[:] = means.mean(dim=0) if known.any() else 0.0
        total[:-1][known] = means
        return total.float()

    def _leading(self, blocks: "_Blocks", rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The largest eigenvalues of the covariance and their eigenvectors."""
        n_vars, k = self.schema.n_vars, self.n_latent
        basis = torch.eye(n_vars)
        exact = EXACT_N_VARS if self.exact_n_vars is None else max(self.exact_n_vars, k + OVERSAMPLING)
        if n_vars > exact:
            basis = torch.from_numpy(rng.standard_normal((n_vars, k + OVERSAMPLING)).astype(np.float32))
            for _ in range(POWER_ITERATIONS):
                basis = torch.linalg.qr(blocks.covariance_times(self.standardised, basis)).Q
        small = (basis.T @ blocks.covariance_times(self.standardised, basis)).double()
        values, vectors = torch.linalg.eigh(small)
        return values.flip(0)[:k], signed(basis @ vectors.flip(1)[:, :k].float())


def signed(components: Float[Tensor, "n_vars n_latent"]) -> Float[Tensor, "n_vars n_latent"]:
    """The components, the largest loading of each made positive: their sign is nothing that data say."""
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    return components * torch.where(largest < 0, -1.0, 1.0)


class _Blocks:
    """Passes over the training cells, a dense block at a time."""

    def __init__(self, source: Source, rows: np.ndarray, device: torch.device) -> None:
        self.source, self.rows, self.device = source, rows, device

    def covariance_times(self, dense: Callable[[Minibatch], Tensor], basis: Tensor) -> Tensor:
        """The covariance of centred features times `basis (n_vars, k)`."""
        product = torch.zeros_like(basis)
        for block in self._each(dense):
            product += block.T @ (block @ basis)
        return product / len(self.rows)

    def _each(self, dense: Callable[[Minibatch], Tensor]) -> Iterator[Tensor]:
        for minibatch in in_order(self.source, self.rows, BLOCK_ROWS):
            yield dense(minibatch.to(self.device))
