"""Centred log ratios: counts of a panel of antibodies, relative to the geometric mean of the cell's own.

    x (n_obs, n_vars) -log(1 + x), minus the cell's mean-> (n_obs, n_vars), dense

Of a panel the total says little: the features are a choice, and one abundant antibody can be half of it. So a cell is
compared with its mean logarithm instead.

References: [Stoeckius17] centred log ratios of antibody counts.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.data.plan import Plan
from cellwright.data.source import Source


def log_ratios(cells: Minibatch) -> Minibatch:
    """The same cells of one modality with centred log ratios as values."""
    logs = torch.log1p(cells.x.dense())
    values = SparseRows(logs - logs.mean(dim=1, keepdim=True), None, None, cells.x.n_vars)
    return replace(cells, views={next(iter(cells.views)): values})


class LogRatios(Source):
    """A source of one modality whose minibatches hold centred log ratios."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.schema, self.n_obs, self.annotation = source.schema, source.n_obs, source.annotation

    def minibatches(
        self, rows: np.ndarray, batch_size: int, plan: Plan, rng: np.random.Generator, rank: int = 0, world: int = 1
    ) -> Iterator[Minibatch]:
        return map(log_ratios, self.source.minibatches(rows, batch_size, plan, rng, rank, world))

    def of(self, modality: str) -> "LogRatios":
        return LogRatios(self.source.of(modality))

    def measured(self, modality: str) -> np.ndarray:
        return self.source.measured(modality)

    @property
    def preferred_block_rows(self) -> int:
        return self.source.preferred_block_rows
