"""Smoothing over nearest neighbours: a cell is what the cells near it are on average, and something of itself.

    x -components-> nearest training cells -> sum of their counts + own_weight x its own -> share of each feature
    share x library = expected counts (n_obs, n_vars)

A share of each feature's mean over all cells (`mean_share`) is mixed in. What is None is chosen by hiding molecules of
the training cells once more (`parts/second_thinning.py`).
Differs from [Wagner18] in that neighbours are found once, in principal components.

References: [Wagner18] kNN-smoothing; [Batson19] for the choice of settings.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.neighbourhood import Neighbourhood
from cellwright.models.parts.second_thinning import best_setting, thinned_again

N_NEIGHBORS = (5, 15, 30, 60, 100, 200)
OWN_WEIGHTS = (1.0, 3.0, 6.0, 10.0)


class KNNSmoothingOptions(Options):
    """Options of smoothing over neighbours."""

    n_neighbors: int | None = Field(
        None, ge=1, description=f"training cells that are averaged; None: one of {N_NEIGHBORS} is chosen"
    )
    own_weight: float | None = Field(
        None, ge=0, description=f"of a cell's own counts, in neighbours; None: one of {OWN_WEIGHTS} is chosen"
    )
    mean_share: float = Field(0.02, ge=0, le=1, description="weight of each feature's mean over all cells")
    n_latent: int = Field(30, ge=1, description="principal components that neighbours are found in")
    max_references: int = Field(20_000, ge=2, description="training cells that are kept as neighbours, at most")


class KNNSmoothing(Model, Imputes):
    """Averages a cell with the training cells that resemble it."""

    is_baseline = True
    citations = ("Wagner18", "Batson19")
    n_neighbors: Tensor
    own_weight: Tensor

    def __init__(self, schema: Schema, options: KNNSmoothingOptions = KNNSmoothingOptions()) -> None:  # noqa: B008
        super().__init__(schema, options)
        self.options: KNNSmoothingOptions = options
        self.near = Neighbourhood(
            schema, n_latent=options.n_latent, at_most=options.max_references, mean_share=options.mean_share
        )
        self.register_buffer("n_neighbors", torch.tensor(1))
        self.register_buffer("own_weight", torch.tensor(0.0))

    @property
    def support(self) -> Support:
        return Support.counts

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        n_neighbors, own_weight = self._choose(source, rows, rng)
        self.n_neighbors.fill_(n_neighbors)
        self.own_weight.fill_(own_weight)
        self.near.learn(source, rows, rng)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        (means,) = self._expected(minibatch, [int(self.n_neighbors)], [float(self.own_weight)])
        return means

    def _choose(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> tuple[int, float]:
        numbers = N_NEIGHBORS if self.options.n_neighbors is None else (self.options.n_neighbors,)
        weights = OWN_WEIGHTS if self.options.own_weight is None else (self.options.own_weight,)
        settings = list(product(numbers, weights))
        if len(settings) == 1:
            return settings[0]
        parts = thinned_again(source, rows, rng)
        self.near.learn(parts.kept, np.arange(parts.kept.n_obs), rng)
        return best_setting(parts, settings, lambda cells: self._expected(cells, numbers, weights), rng)

    def _expected(
        self, minibatch: Minibatch, numbers: Sequence[int], weights: Sequence[float]
    ) -> Iterator[Float[Tensor, "n_obs n_vars"]]:
        """Expected counts with each number of neighbours and each weight, in the order of `product`."""
        own = minibatch.x.dense()
        for total in self.near.sums(minibatch, numbers):
            for weight in weights:
                yield self.near.expected(total + weight * own, minibatch.library)
