"""Neighbourhood: the counts of the training cells that a cell resembles, added up.

cell -reference cells-> nearest n_neighbors -> sum of their counts (n_obs, n_vars) -> share of each feature
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.source import Source
from cellwright.models.parts.gene_share import GeneShare
from cellwright.models.parts.reference_cells import ReferenceCells, weights_of


class Neighbourhood(nn.Module):
    """Training cells, and the share of every feature among all of them, of which `mean_share` is mixed in."""

    def __init__(self, schema: Schema, *, n_latent: int, at_most: int, mean_share: float) -> None:
        super().__init__()
        self.references = ReferenceCells(schema, n_latent=n_latent, transform="log_normalise", at_most=at_most)
        self.genes = GeneShare(schema)
        self.mean_share = mean_share

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Keep training cells."""
        self.references.learn(source, rows, rng)
        self.genes.learn(source, rows)

    def sums(self, minibatch: Minibatch, n_neighbors: Sequence[int]) -> Iterator[Float[Tensor, "n_obs n_vars"]]:
        """Of the counts of the nearest so many training cells, the cell itself left out; numbers must ascend."""
        index, distance = self.references.neighbours(minibatch, n_neighbors[-1])
        counts, total, first = self.references.counts, 0.0, 0
        for number in n_neighbors:
            part = slice(first, number)
            there = torch.ones_like(distance[:, part])
            total = total + (weights_of(index[:, part], there, self.references.n_references) @ counts).toarray()
            first = number
            yield torch.from_numpy(total).to(index.device)

    def expected(
        self, sums: Float[Tensor, "n_obs n_vars"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """Expected counts of cells with these sums and libraries."""
        return library * self.genes.mixed_into(sums, self.mean_share)
