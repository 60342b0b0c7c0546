"""Real cells: hands out training cells of the wanted kind, as they are. A reference, not a generator.

    training cells -learn-> at most `max_cells` of them;  wanted labels, batches, conditions -> such cells

Held-out cells against training cells are the best that a generator can be expected to reach, so its scores are the
ceiling of a comparison. It makes nothing new: a generator that learns its training cells by heart reaches them too,
and no comparison of samples can tell [Theis16].

References: [Theis16].
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Generates, Wanted
from cellwright.core.minibatch import SparseRows
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.population import Population
from cellwright.nn.from_data import FromData


class RealCellsOptions(Options):
    """Options of the real cells."""

    max_cells: int = Field(
        10_000, ge=1, description="training cells that are kept, rare labels first; 10,000 x 200 values take 16 MB"
    )


class RealCells(Model, Generates):
    """Cells that were trained on, drawn at random; in a block, none twice before all of a kind were drawn once."""

    is_baseline = True
    reads = frozenset({"views", "label", "batch", "condition", "covariates"})
    citations = ("Theis16",)

    def __init__(self, schema: Schema, options: RealCellsOptions = RealCellsOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: RealCellsOptions = options
        self.population = Population(schema, at_most=options.max_cells)
        self.kept = FromData(
            {
                "values": torch.zeros(0),
                "columns": torch.zeros(0, dtype=torch.int32),
                "starts": torch.zeros(1, dtype=torch.int64),
            }
        )

    @property
    def support(self) -> Support:
        return Support.real

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        kept = self.population.learn(source, rows, rng)
        blocks = [_sparse(minibatch.x) for minibatch in in_order(source, kept)]
        values, columns, n_stored = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        self.kept.set(values=values, columns=columns, starts=torch.cat([n_stored.new_zeros(1), n_stored.cumsum(0)]))

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        lender = self.population.lenders(wanted, generator)
        starts, n_stored = self.kept.starts[lender], self.kept.starts.diff()[lender]
        row = torch.repeat_interleave(torch.arange(len(lender), device=lender.device), n_stored)
        # positions of each lender's stored values, one after the other
        at = torch.arange(len(row), device=row.device) + (starts - (n_stored.cumsum(0) - n_stored))[row]
        out = self.kept.values.new_zeros(len(lender), self.schema.n_vars)
        return out.index_put((row, self.kept.columns[at].long()), self.kept.values[at])


def _sparse(x: SparseRows) -> tuple[Tensor, Tensor, Tensor]:
    """Values, columns and number of values per row."""
    if x.columns is not None and x.starts is not None:
        return x.values, x.columns, x.starts.diff()
    stored = x.values != 0
    return x.values[stored], stored.nonzero()[:, 1], stored.sum(dim=1)
