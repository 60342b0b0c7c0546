"""Truncated singular value decomposition, plain or with zeros preserved (ALRA).

    x -log-normalise-> y (n_obs, n_vars) -y V V'-> y of rank k -(threshold, rescale)-> exp(y) - 1, at the cell's library

Not centred, so that a silent gene stays near zero. With `zeros="preserve"`, for each gene: values of rank k that are no
larger than the error of the approximation, which shows as negative values, are zero, the others get the mean and the
standard deviation that the measured values above zero have, and what was measured above zero is never made zero.
The rank, and the weight of each feature's mean that is mixed in where zeros are filled, are chosen by hiding molecules
of the training cells once more, if they are None; that of ALRA as if zeros were filled.
Differs from [Linderman22] in the choice of the rank, and in that thresholds are kept and serve new cells.

References: [Linderman22] ALRA; [Batson19] for the choice of the rank.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Generator, Tensor

from cellwright.core.abilities import Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError, OptionError
from cellwright.models.model import Model
from cellwright.models.parts.gene_share import GeneShare
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.models.parts.second_thinning import best_setting, thinned_again
from cellwright.nn import transform as transforms
from cellwright.nn.from_data import FromData
from cellwright.nn.library import at_library

RANKS = (5, 10, 20, 30, 50)
SHARES = (0.0, 0.02, 0.1, 0.3)  # of the mean of each feature; without any, what is below zero is expected nowhere
QUANTILE = 0.001  # of a gene's values of rank k, whose absolute value is the threshold [Linderman22]
QUANTILE_CELLS = 20_000  # that it is taken over, at most
ITERATIONS = 4  # of the subspace
OVERSAMPLING = 10


class SVDOptions(Options):
    """Options of the truncated singular value decomposition."""

    rank: int | None = Field(None, ge=1, description=f"singular vectors that are kept; None: one of {RANKS} is chosen")
    mean_share: float | None = Field(
        None, ge=0, le=1, description=f"weight of each feature's mean, if zeros=fill; None: one of {SHARES} is chosen"
    )
    zeros: Literal["fill", "preserve"] = Field("fill", description="fill every zero, or keep what is below the error")

    @model_validator(mode="after")
    def _nothing_is_mixed_into_zeros(self) -> "SVDOptions":
        if self.zeros == "preserve" and self.mean_share is not None:
            raise OptionError(
                f"mean_share of SVDOptions must be None with zeros='preserve', into which no mean is mixed; it is "
                f"{self.mean_share:g}. Leave it out, or choose zeros='fill'."
            )
        return self


class SVD(Model, Imputes):
    """Gives back of a cell what the leading singular vectors of all cells say."""

    is_baseline = True
    citations = ("Linderman22", "Batson19")
    threshold: Tensor
    factor: Tensor
    offset: Tensor

    def __init__(self, schema: Schema, options: SVDOptions = SVDOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: SVDOptions = options
        self.genes = GeneShare(schema)
        self.mean_share: Tensor
        self.register_buffer("mean_share", torch.tensor(0.0))
        self.vectors = FromData({"right": torch.zeros(schema.n_vars, 0)})
        # y of rank k above the threshold becomes factor * y + offset; only where zeros are preserved
        self.register_buffer("threshold", torch.zeros(schema.n_vars))
        self.register_buffer("factor", torch.ones(schema.n_vars))
        self.register_buffer("offset", torch.zeros(schema.n_vars))

    @property
    def support(self) -> Support:
        chooses = self.options.rank is None or len(self._shares()) > 1
        return Support.counts if chooses else Support.non_negative

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        at_most = min(self.schema.n_vars, len(rows))
        ranks = [rank for rank in RANKS if rank <= at_most] if self.options.rank is None else [self.options.rank]
        if not ranks or ranks[0] > at_most:
            raise DataError(
                f"a decomposition of rank {(ranks or RANKS)[0]} must have as many cells and features; it has "
                f"{len(rows)} cells and {self.schema.n_vars} features. Give a smaller rank."
            )
        settings = list(product(ranks, self._shares()))
        if len(settings) > 1:
            parts = thinned_again(source, rows, rng)
            self.genes.learn(parts.kept, np.arange(parts.kept.n_obs))
            self._decompose(parts.kept, np.arange(parts.kept.n_obs), ranks[-1], rng)
            settings = [best_setting(parts, settings, lambda cells: self._expected(cells, settings), rng)]
        (rank, share), *_ = settings
        self.mean_share.fill_(share)
        self.genes.learn(source, rows)
        self._decompose(source, rows, rank, rng)
        if self.options.zeros == "preserve":
            self._learn_zeros(source, rows, rng)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        y, low = self._both(minibatch)
        if self.options.zeros == "preserve":
            scaled = (low * self.factor + self.offset).clamp(min=0)
            filled = torch.where(low > self.threshold, scaled, 0.0)
            low = torch.where((filled == 0) & (y > 0), y, filled)
        return self._on_scale(low, minibatch, float(self.mean_share))

    def _shares(self) -> tuple[float, ...]:
        """Weights of the features' means to choose from; nothing is mixed into what preserves zeros."""
        if self.options.zeros == "preserve":
            return (0.0,)
        return SHARES if self.options.mean_share is None else (self.options.mean_share,)

    def _both(self, minibatch: Minibatch) -> tuple[Tensor, Tensor]:
        """Log-normalised values, as they are and of the rank that is kept."""
        y = transforms.apply("log_normalise", minibatch.x)
        right = self.vectors.right
        return y.dense(), y.matmul(right) @ right.T

    def _on_scale(self, y: Tensor, minibatch: Minibatch, share: float) -> Tensor:
        means = transforms.invert("log_normalise", y, minibatch.library)
        return (
            minibatch.library * self.genes.mixed_into(means, share) if share else at_library(means, minibatch.library)
        )

    def _expected(self, minibatch: Minibatch, settings: Sequence[tuple[int, float]]) -> Iterator[Tensor]:
        """Expected counts with each rank and share of the mean, zeros filled."""
        y = transforms.apply("log_normalise", minibatch.x)
        for rank, share in settings:
            right = self.vectors.right[:, :rank]
            yield self._on_scale(y.matmul(right) @ right.T, minibatch, share)

    def _decompose(self, source: Source, rows: np.ndarray, rank: int, rng: np.random.Generator) -> None:
        """Right singular vectors, the largest first, by subspace iteration with some vectors more than are kept."""
        width = min(rank + OVERSAMPLING, self.schema.n_vars)
        basis = torch.from_numpy(rng.standard_normal((self.schema.n_vars, width)).astype(np.float32))
        for _ in range(ITERATIONS):
            basis = torch.linalg.qr(_product(source, rows, basis)).Q
        _, vectors = torch.linalg.eigh((basis.T @ _product(source, rows, basis)).double())
        right = basis @ vectors.flip(1)[:, :rank].float()
        largest = right.gather(0, right.abs().argmax(dim=0, keepdim=True))
        self.vectors.set(right=right * torch.where(largest < 0, -1.0, 1.0))

    def _learn_zeros(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Thresholds, and what gives values above them the moments of measured values above zero."""
        sample = rows if len(rows) <= QUANTILE_CELLS else np.sort(rng.choice(rows, QUANTILE_CELLS, replace=False))
        low = torch.cat([self._both(minibatch)[1] for minibatch in in_order(source, sample, BLOCK_ROWS)])
        self.threshold.copy_(torch.from_numpy(np.abs(np.quantile(low.numpy(), QUANTILE, axis=0))))
        measured, approximate = _Moments(self.schema.n_vars), _Moments(self.schema.n_vars)
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            y, low = self._both(minibatch)
            measured.add(y, y > 0)
            approximate.add(low, low > self.threshold)
        known = (measured.spread > 0) & (approximate.spread > 0)
        self.factor.copy_(torch.where(known, measured.spread / approximate.spread.clamp(min=1e-12), 1.0))
        self.offset.copy_(torch.where(known, measured.mean - approximate.mean * self.factor, 0.0))


class _Moments:
    """Mean and standard deviation of each feature over entries that count."""

    def __init__(self, n_vars: int) -> None:
        self.n, self.total, self.squares = (torch.zeros(n_vars, dtype=torch.float64) for _ in range(3))

    def add(self, values: Tensor, counts: Tensor) -> None:
        """Entries of a block, those where `counts` holds."""
        chosen = torch.where(counts, values, 0.0).double()
        self.n += counts.sum(dim=0)
        self.total += chosen.sum(dim=0)
        self.squares += chosen.square().sum(dim=0)

    @property
    def mean(self) -> Tensor:
        """(n_vars,) float32."""
        return (self.total / self.n.clamp(min=1)).float()

    @property
    def spread(self) -> Tensor:
        """(n_vars,) float32."""
        n = self.n.clamp(min=1)
        return (self.squares / n - (self.total / n).square()).clamp(min=0).sqrt().float()


def _product(source: Source, rows: np.ndarray, basis: Tensor) -> Tensor:
    """y' y basis, over log-normalised values y of all cells."""
    product = torch.zeros_like(basis)
    for minibatch in in_order(source, rows, BLOCK_ROWS):
        y = transforms.apply("log_normalise", minibatch.x)
        product += torch.from_numpy(y.csr().T @ y.matmul(basis).numpy())
    return product
