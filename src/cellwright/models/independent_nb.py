"""Independent negative binomials: the baseline that a generator of counts has to beat.

    training cells of a kind (label, condition) -moments-> share and theta of each feature
    wanted kinds -> library of a training cell of that kind -> x ~ NB(library * share, theta), feature by feature

Means, variances and zeros of a label are right, and no feature knows of another: what a generator adds is how features
go together within a label. Batches and covariates choose the library only.

Theta is found by moments: sum (x - mean)^2 = sum (mean + mean^2 / theta) over the cells of a kind, with
mean = library * share. Where counts vary no more than Poisson's, theta is `LARGEST_THETA`.

References: [Anscombe50] for theta by moments; [Lopez18] for share times library.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Generator, Tensor

from cellwright.core.abilities import Generates, Wanted
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.likelihoods.negative_binomial import sample_negative_binomial
from cellwright.models.model import Model
from cellwright.models.parts.kinds import kind_of, n_kinds, pooled
from cellwright.models.parts.population import Population

SMALLEST_THETA, LARGEST_THETA = 1e-3, 1e6  # at the largest the variance is Poisson's to float32


class IndependentNBOptions(Options):
    """It has none."""


class IndependentNB(Model, Generates):
    """Draws each count by itself, with the mean and variance that it has among the cells of a label and condition."""

    is_baseline = True
    reads = frozenset({"views", "label", "batch", "condition", "covariates"})
    citations = ("Anscombe50", "Lopez18")
    share: Tensor
    theta: Tensor

    def __init__(self, schema: Schema, options: IndependentNBOptions = IndependentNBOptions()) -> None:  # noqa: B008
        super().__init__(schema, options)
        self.options: IndependentNBOptions = options
        self.population = Population(schema)
        # a row per kind (see parts/kinds.py); the last is of all cells together, for cells without a label
        self.register_buffer("share", torch.zeros(n_kinds(schema), schema.n_vars))
        self.register_buffer("theta", torch.ones(n_kinds(schema), schema.n_vars))

    @property
    def support(self) -> Support:
        return Support.counts

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.population.learn(source, rows, rng)
        sums = _Sums.of_nothing(n_kinds(self.schema), self.schema.n_vars)
        for minibatch in in_order(source, rows):
            sums.add(minibatch, kind_of(self.schema, minibatch.label, minibatch.condition).numpy())
        share, theta = sums.over(lambda each: pooled(self.schema, torch.from_numpy(each)).numpy()).moments()
        self.share.copy_(torch.from_numpy(share))
        self.theta.copy_(torch.from_numpy(theta))

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        cells, library = self.population.draw(wanted, generator)
        kind = kind_of(self.schema, cells.label, cells.condition)
        return sample_negative_binomial(library * self.share[kind], self.theta[kind], generator)


@dataclass(eq=False)
class _Sums:
    """Sums over cells by kind: of counts x, of squares, of x times library L, of L and L^2."""

    n_obs: np.ndarray  # (n_kinds,)
    x: np.ndarray  # (n_kinds, n_vars)
    squares: np.ndarray
    by_library: np.ndarray
    library: np.ndarray  # (n_kinds,)
    library_squares: np.ndarray

    @classmethod
    def of_nothing(cls, n_kinds: int, n_vars: int) -> "_Sums":
        wide, narrow = (n_kinds, n_vars), n_kinds
        return cls(np.zeros(narrow), np.zeros(wide), np.zeros(wide), np.zeros(wide), np.zeros(narrow), np.zeros(narrow))

    def add(self, minibatch: Minibatch, kind: np.ndarray) -> None:
        """Add the cells of a minibatch, each to its `kind (n_obs,)`."""
        counts = minibatch.x.csr().astype(np.float64)
        library = np.asarray(counts.sum(axis=1)).ravel()
        of_kind = sparse.csr_matrix(
            (np.ones(len(kind)), (kind, np.arange(len(kind)))), shape=(len(self.n_obs), len(kind))
        )
        self.n_obs += np.bincount(kind, minlength=len(self.n_obs))
        self.x += (of_kind @ counts).toarray()
        self.squares += (of_kind @ counts.multiply(counts)).toarray()
        self.by_library += (of_kind.multiply(library) @ counts).toarray()
        self.library += of_kind @ library
        self.library_squares += of_kind @ library**2

    def over(self, summed: Callable[[np.ndarray], np.ndarray]) -> "_Sums":
        """The sums over what `summed` takes together."""
        return _Sums(*(summed(getattr(self, field.name)) for field in fields(self)))

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Share and theta of each feature in each kind, (n_kinds, n_vars); zero and one where it has no counts."""
        n_obs, library, library_squares = (each[:, None] for each in (self.n_obs, self.library, self.library_squares))
        share = self.x / np.maximum(library, 1)  # a library without counts has no count that could be shared
        # sum (x - L share)^2; the share comes from the same cells, which makes it smaller by a factor (n - 1) / n
        around_mean = self.squares - 2 * share * self.by_library + share**2 * library_squares
        excess = around_mean * n_obs / np.maximum(n_obs - 1, 1) - self.x
        with np.errstate(divide="ignore", invalid="ignore"):
            theta = np.where(excess > 0, share**2 * library_squares / excess, LARGEST_THETA)
        return share, np.where(library > 0, np.clip(theta, SMALLEST_THETA, LARGEST_THETA), 1)
