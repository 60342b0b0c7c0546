"""Population: what a generator keeps of its training cells beside its network.

    training cells -learn-> label, batch, condition, covariates, library of each (at most `MAX_CELLS`, or `at_most`)
    wanted labels, batches, conditions -draw-> a training cell that has them lends these, its covariates and library

So a generated cell has a batch, covariates and a library that occur together among the cells of its label.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from cellwright.core.abilities import Wanted
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.nn.from_data import FromData

MAX_CELLS = 50_000  # 50,000 x (5 numbers + covariates) are 1 MB and more


class Population(nn.Module):
    """The training cells' annotation and libraries, as far as a generator needs them."""

    def __init__(self, schema: Schema, at_most: int | None = None) -> None:
        super().__init__()
        self.schema = schema
        self.at_most = at_most
        self.cells = FromData(
            {
                "label": torch.zeros(0, dtype=torch.int64),
                "batch": torch.zeros(0, dtype=torch.int64),
                "condition": torch.zeros(0, dtype=torch.int64),
                "covariates": torch.zeros(0, schema.n_covariates),
                "library": torch.zeros(0, 1),
            }
        )
        self.kind_counts: Tensor  # (n_labels + 1, n_batch + 1, n_conditions + 1), the last of each being unknown
        n_each = (schema.n_labels + 1, schema.n_batch + 1, schema.n_conditions + 1)
        self.register_buffer("kind_counts", torch.zeros(n_each, dtype=torch.int64))

    @property
    def label_counts(self) -> Int[Tensor, " n_labels"]:
        """How many training cells each label of the schema had."""
        return self.kind_counts.sum(dim=(1, 2))[:-1]

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Keep the annotation and libraries of `rows`, of a sample of them if there are too many.

        Returns the rows that are kept, in the order in which `lenders` counts them.
        """
        cells = source.annotation
        kinds = np.stack([cells.label[rows], cells.batch[rows], cells.condition[rows]])
        counts = np.zeros(self.kind_counts.shape, dtype=np.int64)
        np.add.at(counts, tuple(kinds), 1)  # -1 is the last
        self.kind_counts.copy_(torch.from_numpy(counts))
        at_most = self.at_most or MAX_CELLS
        if len(rows) > at_most:
            rows = _sample_of_every_kind(rows, np.unique(kinds, axis=1, return_inverse=True)[1], at_most, rng)
        # without the values, which would fill the memory
        known = [(m.label, m.batch, m.condition, m.covariates, m.library) for m in in_order(source, rows)]
        label, batch, condition, covariates, library = (torch.cat(parts) for parts in zip(*known, strict=True))
        self.cells.set(label=label, batch=batch, condition=condition, covariates=covariates, library=library)
        return rows

    def draw(self, wanted: Wanted, generator: Generator) -> tuple[Minibatch, Float[Tensor, "n_obs 1"]]:
        """Cells without values that have the wanted labels, batches and conditions, and their libraries.

        Raises `DataError` for a label, batch and condition that no training cell has together.
        """
        lender = self.lenders(wanted, generator)
        return self._minibatch(lender), self.cells.library[lender]

    def lenders(self, wanted: Wanted, generator: Generator) -> Int[Tensor, " n_obs"]:
        """A kept cell for each wanted one, at random; of one kind each lends once before any lends twice."""
        lender = torch.empty(len(wanted.label), dtype=torch.int64, device=self.cells.label.device)
        each = torch.stack([wanted.label, wanted.batch, wanted.condition], dim=1)
        kinds, kind_of = each.unique(dim=0, return_inverse=True)
        for kind, codes in enumerate(kinds.tolist()):
            able = self._able(*codes)
            at = torch.nonzero(kind_of == kind).flatten()
            rounds = -(-len(at) // len(able))
            turns = [torch.randperm(len(able), generator=generator, device=able.device) for _ in range(rounds)]
            lender[at] = able[torch.cat(turns)[: len(at)]]
        return lender

    def _able(self, label: int, batch: int, condition: int) -> Int[Tensor, " n_able"]:
        """The kept cells that have a label, a batch and a condition, -1 being any."""
        asked = {"label": label, "batch": batch, "condition": condition}
        fits = torch.ones(len(self.cells.label), dtype=torch.bool, device=self.cells.label.device)
        for name, code in asked.items():
            if code >= 0:
                fits &= getattr(self.cells, name) == code
        if not fits.any():
            kinds = ((getattr(self.schema, name), code) for name, code in asked.items())
            names = [f"{kind.key} {kind.values[code]!r}" for kind, code in kinds if kind is not None and code >= 0]
            raise DataError(
                f"cells to be generated must be of a kind that was trained on; no training cell has "
                f"{' and '.join(names) or 'any label'}. Ask for another label, batch or condition."
            )
        return torch.nonzero(fits).flatten()

    def _minibatch(self, lender: Int[Tensor, " n_obs"]) -> Minibatch:
        n_obs, device = len(lender), lender.device
        empty = SparseRows(
            torch.zeros(0, device=device),
            torch.zeros(0, dtype=torch.int32, device=device),
            torch.zeros(n_obs + 1, dtype=torch.int64, device=device),
            self.schema.n_vars,
        )
        return Minibatch(
            views={self.schema.modalities[0]: empty},
            present=torch.zeros(n_obs, 1, dtype=torch.bool, device=device),
            batch=self.cells.batch[lender],
            label=self.cells.label[lender],
            condition=self.cells.condition[lender],
            time=torch.full((n_obs,), torch.nan, device=device),
            covariates=self.cells.covariates[lender],
            coordinates=torch.zeros(n_obs, 0, device=device),
            weight=torch.ones(n_obs, device=device),
            rows=torch.arange(n_obs, device=device),
        )


def _sample_of_every_kind(rows: np.ndarray, kinds: np.ndarray, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """`at_most` rows at random, but first some of each kind, one at least: a rare one stays.

    A tenth of the room is divided among the kinds (label, batch and condition) for that.
    """
    order = rng.permutation(len(rows))
    # the n-th cell of its kind, in random order; kinds take turns
    turn = pd.Series(kinds[order]).groupby(kinds[order]).cumcount().to_numpy()
    first = turn < max(1, at_most // (10 * len(np.unique(kinds))))
    return np.sort(rows[np.concatenate([order[first], order[~first]])[:at_most]])
