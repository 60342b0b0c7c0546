"""Nearest neighbours with gamma rates: what a cell's neighbours expect of it, corrected by its own counts.

    x -components-> nearest training cells -> share of each feature x library = expected counts (n_obs, n_vars)
    expected counts, own counts -gamma rates-> what a second measurement would give

The cell's own counts have a say in proportion to how much cells differ from their neighbours in a gene: one that
follows its neighbourhood is averaged, one that does not keeps its value. The strongest way to impute without a network
that we know. How many neighbours is chosen by hiding molecules of the training cells once more.
Differs from [Huang18] in where the expectation comes from: neighbours in the place of a regression per gene.

References: [Huang18] SAVER; [Wagner18] neighbours; [Batson19] for the choice of settings.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Draws, Imputes
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.gamma_rates import GammaRates
from cellwright.models.parts.neighbourhood import Neighbourhood
from cellwright.models.parts.second_thinning import best_setting, thinned_again

N_NEIGHBORS = (15, 30, 60, 100, 200, 300)
THETA_CELLS = 1_000  # that theta is learnt from: one number per feature
BLOCK_ROWS = 512


class KNNGammaOptions(Options):
    """Options of nearest neighbours with gamma rates."""

    n_neighbors: int | None = Field(
        None, ge=1, description=f"training cells that are averaged; None: one of {N_NEIGHBORS} is chosen"
    )
    mean_share: float = Field(0.02, ge=0, le=1, description="weight of each feature's mean over all cells")
    n_latent: int = Field(30, ge=1, description="principal components that neighbours are found in")
    max_references: int = Field(20_000, ge=2, description="training cells that are kept as neighbours, at most")


class KNNGamma(Model, Imputes, Draws):
    """Expects of a cell what its neighbours have, and of a gene that varies among them what the cell had."""

    is_baseline = True
    citations = ("Huang18", "Wagner18", "Batson19")
    n_neighbors: Tensor

    def __init__(self, schema: Schema, options: KNNGammaOptions = KNNGammaOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: KNNGammaOptions = options
        self.near = Neighbourhood(
            schema, n_latent=options.n_latent, at_most=options.max_references, mean_share=options.mean_share
        )
        self.rates = GammaRates(schema.n_vars)
        self.register_buffer("n_neighbors", torch.tensor(1))

    @property
    def support(self) -> Support:
        return Support.counts

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.n_neighbors.fill_(self.options.n_neighbors or self._choose(source, rows, rng))
        self.near.learn(source, rows, rng)
        self._learn_rates([self.rates], source, rows, [int(self.n_neighbors)], rng)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return self.rates.expected(self._means(minibatch), minibatch.x)

    @torch.no_grad()
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A draw of the rates; who the neighbours are, and what they have on average, is taken as known."""
        return self.rates.draw(self._means(minibatch), minibatch.x, generator)

    @torch.no_grad()
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return torch.poisson(self.draw(minibatch, generator), generator)

    def _means(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        """What the neighbours expect."""
        (total,) = self.near.sums(minibatch, [int(self.n_neighbors)])
        return self.near.expected(total, minibatch.library)

    def _choose(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> int:
        parts = thinned_again(source, rows, rng)
        every = np.arange(parts.kept.n_obs)
        self.near.learn(parts.kept, every, rng)
        candidates = [GammaRates(self.schema.n_vars) for _ in N_NEIGHBORS]
        self._learn_rates(candidates, parts.kept, every, N_NEIGHBORS, rng)

        def expected(minibatch: Minibatch) -> Iterator[Tensor]:
            for rates, total in zip(candidates, self.near.sums(minibatch, N_NEIGHBORS), strict=True):
                yield rates.expected(self.near.expected(total, minibatch.library), minibatch.x)

        return best_setting(parts, N_NEIGHBORS, expected, rng)

    def _learn_rates(
        self,
        each: Iterable[GammaRates],
        source: Source,
        rows: np.ndarray,
        n_neighbors: Sequence[int],
        rng: np.random.Generator,
    ) -> None:
        """Theta for each number of neighbours, from a sample of the training cells and what is expected of them."""
        sample = rows if len(rows) <= THETA_CELLS else np.sort(rng.choice(rows, THETA_CELLS, replace=False))
        blocks: list[list[tuple[SparseRows, Tensor]]] = [[] for _ in n_neighbors]
        for minibatch in in_order(source, sample, BLOCK_ROWS):
            for block, total in zip(blocks, self.near.sums(minibatch, n_neighbors), strict=True):
                block.append((minibatch.x, self.near.expected(total, minibatch.library)))
        for rates, block in zip(each, blocks, strict=True):
            rates.learn(block)
