"""Graph diffusion: values flow between similar cells, as in MAGIC.

    x -components-> nearest training cells, kernel exp(-(distance / width)^2) -> a Markov chain P over training cells
    cell -its row of the chain-> p (n_obs, n_references) -p P^(t - 1)-> weights of training cells -> shares x library

The width of a cell is its distance to a neighbour a third of the way out, so that sparse regions reach as far as dense
ones. The number of steps t is chosen by hiding molecules of the training cells once more, if it is None. Shares are
averaged, neither square roots nor logarithms, and a little of each feature's mean over all cells is mixed in.
Differs from [vanDijk18] in that the first step is by the cell's own kernel, not made symmetric, so that a cell outside
the training starts like any other; such a cell, and one of more than `max_references`, has no link to itself.

References: [vanDijk18] MAGIC; [Batson19] for the choice of the steps.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from scipy import sparse
from torch import Generator, Tensor

from cellwright.core.abilities import Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.gene_share import GeneShare
from cellwright.models.parts.reference_cells import ReferenceCells, weights_of
from cellwright.models.parts.second_thinning import best_setting, thinned_again
from cellwright.nn.from_data import FromData
from cellwright.nn.nearest import nearest

STEPS = (1, 2, 3, 4, 6, 8)


class MAGICOptions(Options):
    """Options of graph diffusion."""

    n_neighbors: int = Field(15, ge=3, description="training cells that a cell is linked to")
    n_steps: int | None = Field(None, ge=1, description=f"steps of the chain; None: one of {STEPS} is chosen")
    mean_share: float = Field(0.02, ge=0, le=1, description="weight of each feature's mean over all cells")
    n_latent: int = Field(30, ge=1, description="principal components that neighbours are found in")
    max_references: int = Field(20_000, ge=2, description="training cells that the chain goes over, at most")


class MAGIC(Model, Imputes):
    """Averages a cell with those that a random walk over similar cells reaches from it."""

    is_baseline = True
    citations = ("vanDijk18", "Batson19")
    n_steps: Tensor

    def __init__(self, schema: Schema, options: MAGICOptions = MAGICOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: MAGICOptions = options
        self.references = ReferenceCells(
            schema, n_latent=options.n_latent, transform="log_normalise", at_most=options.max_references
        )
        self.genes = GeneShare(schema)
        self.links = FromData({"index": torch.zeros(0, 0, dtype=torch.int64), "weight": torch.zeros(0, 0)})
        self.register_buffer("n_steps", torch.tensor(1))

    @property
    def support(self) -> Support:
        return Support.counts if self.options.n_steps is None else Support.non_negative

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.n_steps.fill_(self.options.n_steps or self._choose(source, rows, rng))
        self._link(source, rows, rng)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        (means,) = self._expected(minibatch, [int(self.n_steps)])
        return means

    def _choose(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> int:
        parts = thinned_again(source, rows, rng)
        self._link(parts.kept, np.arange(parts.kept.n_obs), rng)
        return best_setting(parts, STEPS, lambda cells: self._expected(cells, STEPS), rng)

    def _link(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Keep training cells, and link each to its nearest and to itself."""
        self.references.learn(source, rows, rng)
        self.genes.learn(source, rows)
        index, weight = self._kernel(self.references.kept.latent)
        self.links.set(index=index, weight=weight)

    def _kernel(self, latent: Float[Tensor, "n_obs n_latent"]) -> tuple[Tensor, Tensor]:
        """Nearest training cells of each cell, itself first where it is one, and what links to them weigh."""
        number = min(self.options.n_neighbors + 1, self.references.n_references)
        index, distance = nearest(latent, self.references.kept.latent, number, same=-math.inf)
        width = distance[:, min(number - 1, max(1, self.options.n_neighbors // 3))].clamp(min=1e-12)
        return index, torch.exp(-(distance / width[:, None]).square())

    def _expected(self, minibatch: Minibatch, steps: Sequence[int]) -> Iterator[Float[Tensor, "n_obs n_vars"]]:
        """Expected counts after each number of steps; numbers must ascend."""
        n = self.references.n_references
        affinity = weights_of(self.links.index, self.links.weight, n)
        chain = _rows_of_sum_one(affinity + affinity.T)
        shares = _rows_of_sum_one(self.references.counts)
        weights = _rows_of_sum_one(weights_of(*self._kernel(self.references.components.encode(minibatch)), n))
        walked: sparse.csr_matrix | np.ndarray = weights
        for step in range(1, max(steps) + 1):
            if step > 1:
                walked = walked @ chain
            if step in steps:
                means = walked @ shares
                shares_there = torch.from_numpy(_dense(means)).to(minibatch.library)
                yield minibatch.library * self.genes.mixed_into(shares_there, self.options.mean_share)


def _rows_of_sum_one(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1e-12)) @ matrix, dtype=np.float32)


def _dense(matrix: sparse.csr_matrix | np.ndarray) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
