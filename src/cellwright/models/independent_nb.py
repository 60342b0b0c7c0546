"""Independent negative binomials: the baseline that a generator of counts has to beat.

    training cells of a label -moments-> share and theta of each feature
    wanted labels -> library of a training cell of that label -> x ~ NB(library * share, theta), feature by feature

Means, variances and zeros of a label are right, and no feature knows of another: what a generator adds is how features
go together within a label. Batches and covariates choose the library only.

Theta is found by moments: sum (x - mean)^2 = sum (mean + mean^2 / theta) over the cells of a label, with
mean = library * share. Where counts vary no more than Poisson's, theta is `LARGEST_THETA`.

References: [Anscombe50] for theta by moments; [Lopez18] for share times library.
"""

from dataclasses import dataclass

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
from cellwright.models.parts.population import Population

SMALLEST_THETA, LARGEST_THETA = 1e-3, 1e6  # at the largest the variance is Poisson's to float32


class IndependentNBOptions(Options):
    """It has none."""


class IndependentNB(Model, Generates):
    """Draws each count by itself, with the mean and the variance that it has among the cells of a label."""

    is_baseline = True
    reads = frozenset({"views", "label", "batch", "covariates"})
    citations = ("Anscombe50", "Lopez18")
    share: Tensor
    theta: Tensor

    def __init__(self, schema: Schema, options: IndependentNBOptions = IndependentNBOptions()) -> None:  # noqa: B008
        super().__init__(schema, options)
        self.options: IndependentNBOptions = options
        self.population = Population(schema)
        # the last row is of all cells together, for cells without a label
        self.register_buffer("share", torch.zeros(schema.n_labels + 1, schema.n_vars))
        self.register_buffer("theta", torch.ones(schema.n_labels + 1, schema.n_vars))

    @property
    def support(self) -> Support:
        return Support.counts

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.population.learn(source, rows, rng)
        n_labels = self.schema.n_labels
        sums = _Sums.of_nothing(n_labels, self.schema.n_vars)
        for minibatch in in_order(source, rows):
            sums.add(minibatch)
        for row in range(n_labels + 1):
            chosen = [row] if row < n_labels else list(range(n_labels + 1))
            share, theta = sums.moments(chosen)
            self.share[row], self.theta[row] = torch.from_numpy(share), torch.from_numpy(theta)

    @property
    def label_counts(self) -> Int[Tensor, " n_labels"]:
        return self.population.label_counts

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        cells, library = self.population.draw(wanted, generator)
        # -1, of a lender without a label, is the last row
        return sample_negative_binomial(library * self.share[cells.label], self.theta[cells.label], generator)


@dataclass(eq=False)
class _Sums:
    """Sums over cells by label, those without one last: of counts x, of squares, of x times library L, of L and L^2."""

    n_obs: np.ndarray  # (n_labels + 1,)
    x: np.ndarray  # (n_labels + 1, n_vars)
    squares: np.ndarray
    by_library: np.ndarray
    library: np.ndarray  # (n_labels + 1,)
    library_squares: np.ndarray

    @classmethod
    def of_nothing(cls, n_labels: int, n_vars: int) -> "_Sums":
        wide, narrow = (n_labels + 1, n_vars), n_labels + 1
        return cls(np.zeros(narrow), np.zeros(wide), np.zeros(wide), np.zeros(wide), np.zeros(narrow), np.zeros(narrow))

    def add(self, minibatch: Minibatch) -> None:
        """Add the cells of a minibatch."""
        counts = minibatch.x.csr().astype(np.float64)
        library = np.asarray(counts.sum(axis=1)).ravel()
        label = minibatch.label.numpy() % len(self.n_obs)  # -1 is the last
        of_label = sparse.csr_matrix(
            (np.ones(len(label)), (label, np.arange(len(label)))), shape=(len(self.n_obs), len(label))
        )
        self.n_obs += np.bincount(label, minlength=len(self.n_obs))
        self.x += (of_label @ counts).toarray()
        self.squares += (of_label @ counts.multiply(counts)).toarray()
        self.by_library += (of_label.multiply(library) @ counts).toarray()
        self.library += of_label @ library
        self.library_squares += of_label @ library**2

    def moments(self, labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Share and theta of each feature among the cells of these labels; zero and one where there is none."""
        library, library_squares = self.library[labels].sum(), self.library_squares[labels].sum()
        n_obs, x = self.n_obs[labels].sum(), self.x[labels].sum(axis=0)
        if library == 0:
            return np.zeros_like(x), np.ones_like(x)
        share = x / library
        squares, by_library = self.squares[labels].sum(axis=0), self.by_library[labels].sum(axis=0)
        # sum (x - L share)^2; the share comes from the same cells, which makes it smaller by a factor (n - 1) / n
        around_mean = squares - 2 * share * by_library + share**2 * library_squares
        excess = around_mean * n_obs / max(n_obs - 1, 1) - x
        with np.errstate(divide="ignore", invalid="ignore"):
            theta = np.where(excess > 0, share**2 * library_squares / excess, LARGEST_THETA)
        return share, np.clip(theta, SMALLEST_THETA, LARGEST_THETA)
