"""Source: what a model, a trainer and a task see of data, wherever it lies.

    Store.around(ascending rows) -> CSR or dense rows, and where among them the wanted ones are; one class per storage
    Source.minibatches(rows, ...) -> Minibatch          written once: plan, prefetch thread, codes

Memory and disk differ in their stores only, therefore they give bit-equal minibatches for one plan and seed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.schema import Schema
from cellwright.data.plan import Plan, Request, Sequential
from cellwright.data.prefetch import prefetched

Matrix: TypeAlias = sparse.csr_matrix | np.ndarray


class Store(ABC):
    """One modality's matrix, wherever it lies."""

    where: str  # how errors name the matrix: "X", "layers['counts']", ...
    n_obs: int
    n_vars: int
    preferred_block_rows: int  # 1 where any row costs the same; more where contiguous rows are cheaper

    @abstractmethod
    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        """A matrix with the rows, which are ascending and unique, and the position of each in it; it may hold others.

        Float32, CSR with sorted columns, or dense where stored dense. It is copied no further than the storage asks
        for: in memory it is the whole matrix.
        """

    def read(self, rows: np.ndarray) -> Matrix:
        """Just the rows, in the same form."""
        return _rows_at(*self.around(rows))


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is known of each cell beside its values, as codes in the schema's order; -1 is unknown."""

    obs: pd.DataFrame  # names in the index; all columns of the input
    batch: np.ndarray  # (n_obs,) int64
    label: np.ndarray
    condition: np.ndarray
    time: np.ndarray  # (n_obs,) float32, NaN where unknown
    covariates: np.ndarray  # (n_obs, n_covariates) float32
    coordinates: np.ndarray  # (n_obs, n_coordinates) float32


class Source(ABC):
    """Cells as minibatches. A source may wrap another (neighbours, synthetic rows, sequences)."""

    schema: Schema
    n_obs: int
    annotation: Annotation

    @abstractmethod
    def minibatches(
        self, rows: np.ndarray, batch_size: int, plan: Plan, rng: np.random.Generator, rank: int = 0, world: int = 1
    ) -> Iterator[Minibatch]:
        """One pass over `rows` in the plan's order. With `world` processes, `rank` gets its part of every minibatch."""

    @abstractmethod
    def of(self, modality: str) -> "Source":
        """The same cells as if this were the only modality; on those without it are zeros, and it is not `present`."""

    @abstractmethod
    def measured(self, modality: str) -> np.ndarray:
        """On which cells the modality was measured, (n_obs,) bool."""

    @property
    @abstractmethod
    def preferred_block_rows(self) -> int:
        """Rows that are best shuffled together."""


@dataclass(frozen=True, eq=False)
class StoredSource(Source):
    """Cells in one store per modality. `row_of (n_obs,)` maps a cell to its row in a store, -1 if not measured."""

    schema: Schema
    stores: Mapping[str, Store]
    annotation: Annotation
    row_of: Mapping[str, np.ndarray] = field(default_factory=dict)  # of modalities with other cells or another order
    origin: str = "memory"  # file name, or "memory"
    filled_features: tuple[str, ...] = ()  # features of the schema that the data lack: zeros, or NaN in sequences

    @property
    def n_obs(self) -> int:  # type: ignore[override]
        return len(self.annotation.obs)

    @property
    def preferred_block_rows(self) -> int:
        return max(store.preferred_block_rows for store in self.stores.values())

    def of(self, modality: str) -> "StoredSource":
        row_of = {name: rows for name, rows in self.row_of.items() if name == modality}
        return replace(self, schema=self.schema.of(modality), stores={modality: self.stores[modality]}, row_of=row_of)

    def measured(self, modality: str) -> np.ndarray:
        return self.row_of[modality] >= 0 if modality in self.row_of else np.ones(self.n_obs, dtype=bool)

    def read(self, modality: str, rows: np.ndarray) -> Matrix:
        """Values of ascending rows; a cell without this modality is a row of zeros (see `present`)."""
        return _rows_at(*self.around(modality, rows))

    def around(self, modality: str, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        """A matrix with the values of ascending rows, and the position of each in it (see `Store.around`)."""
        store = self.stores[modality]
        if modality not in self.row_of:
            return store.around(rows)
        at = self.row_of[modality][rows]
        wanted, position = np.unique(at[at >= 0], return_inverse=True)
        return _with_empty_rows(store.read(wanted), at >= 0, position), np.arange(len(rows))

    def minibatches(
        self, rows: np.ndarray, batch_size: int, plan: Plan, rng: np.random.Generator, rank: int = 0, world: int = 1
    ) -> Iterator[Minibatch]:
        def read(request: Request) -> tuple[Request, dict[str, tuple[Matrix, np.ndarray]]]:
            return request, {name: self.around(name, request.rows) for name in self.stores}

        for request, found in prefetched(map(read, plan.requests(rows, batch_size, rng, world))):
            for positions in request.minibatches:
                mine = positions[rank::world]
                views = {name: _sparse_rows(matrix, at[mine]) for name, (matrix, at) in found.items()}
                yield self._assemble(request.rows[mine], views)

    def _assemble(self, rows: np.ndarray, views: dict[str, SparseRows]) -> Minibatch:
        cells = self.annotation
        present = np.ones((len(rows), len(views)), dtype=bool)
        for column, name in enumerate(views):
            if name in self.row_of:
                present[:, column] = self.row_of[name][rows] >= 0
        return Minibatch(
            views=views,
            present=torch.from_numpy(present),
            batch=torch.from_numpy(cells.batch[rows]),
            label=torch.from_numpy(cells.label[rows]),
            condition=torch.from_numpy(cells.condition[rows]),
            time=torch.from_numpy(cells.time[rows]),
            covariates=torch.from_numpy(cells.covariates[rows]),
            coordinates=torch.from_numpy(cells.coordinates[rows]),
            weight=torch.ones(len(rows)),
            rows=torch.from_numpy(rows),
        )


def _with_empty_rows(block: Matrix, filled: np.ndarray, position: np.ndarray) -> Matrix:
    """Rows `position` of the block where `filled (n_rows,)`, else zeros; dense stays dense."""
    empty = np.zeros((1, block.shape[1]), dtype=np.float32)
    source_row = np.full(len(filled), block.shape[0])  # the row of zeros that is put below the block
    source_row[filled] = position
    if isinstance(block, np.ndarray):
        return np.concatenate([block, empty])[source_row]
    return sparse.vstack([block, sparse.csr_matrix(empty)], format="csr")[source_row]


def _rows_at(matrix: Matrix, at: np.ndarray) -> Matrix:
    """Rows of a matrix; the matrix itself, if they are all of it in order."""
    return matrix if len(at) == matrix.shape[0] and _is_run(at) else matrix[at]


def _sparse_rows(matrix: Matrix, at: np.ndarray) -> SparseRows:
    """Rows of a matrix for a minibatch; those that follow one another share its memory, which nobody writes to."""
    if isinstance(matrix, np.ndarray) or not _is_run(at):
        # SciPy's compiled loop; one of our own in Numba was no faster (44 us for 128 cells x 170 values)
        return SparseRows.of(matrix[at])
    starts = matrix.indptr[at[0] : at[-1] + 2]
    stored = slice(starts[0], starts[-1])  # SciPy would copy it
    return SparseRows.of_csr(matrix.data[stored], matrix.indices[stored], starts - starts[0], matrix.shape[1])


def _is_run(at: np.ndarray) -> bool:
    return bool(len(at)) and at[-1] - at[0] == len(at) - 1 and bool((np.diff(at) == 1).all())


def in_order(source: Source, rows: np.ndarray | None = None, batch_size: int = 4096) -> Iterator[Minibatch]:
    """All cells (or `rows`) once, in order: for inference, statistics and checks."""
    rows = np.arange(source.n_obs) if rows is None else rows
    return source.minibatches(rows, batch_size, Sequential(), np.random.default_rng(0))
