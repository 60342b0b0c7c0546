"""Stores on disk: rows of a CSR or dense matrix in HDF5 or zarr, read in contiguous runs.

    ascending rows -contiguous_runs-> [first, stop) pairs -one read each-> the rows, with those in small gaps

Of a CSR matrix the row starts are held in memory (8 bytes a cell). The file closes when its last store is collected.
"""

import numpy as np

from cellwright.data.chunks import LibraryReader, reader_of
from cellwright.data.safety import reading
from cellwright.data.source import Matrix, Store
from cellwright.data.stored import Stored, StoredArray, StoredGroup, is_array, is_group, sparse_shape, stored_form
from cellwright.data.values import as_float32, plain_csr
from cellwright.errors import DataError, DataFileError

# Blocks that are shuffled together have at least so many bytes, so that a call reads more than it costs, or at least so
# many rows; and at most so many, because a buffer holds `plan.BLOCKS_PER_BUFFER` of them.
MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 100_000, 400_000
MIN_BLOCK_ROWS, ENOUGH_BLOCK_ROWS, MAX_BLOCK_ROWS = 16, 64, 1024


class CsrOnDisk(Store):
    """A CSR matrix as AnnData writes it: a group with `data`, `indices` and `indptr`."""

    def __init__(self, group: StoredGroup, where: str) -> None:
        self.where = where
        self.n_obs, self.n_vars = sparse_shape(group)
        values: StoredArray = group["data"]
        columns: StoredArray = group["indices"]
        self._starts = np.asarray(group["indptr"][:], dtype=np.int64)
        self._refuse_damaged(values, columns)
        self._values, self._columns = reader_of(values), reader_of(columns)
        per_row = max(1.0, self._starts[-1] / max(1, self.n_obs))
        call_bytes = max(self._values.call_bytes, self._columns.call_bytes)
        self._gap_rows = 1 + int(call_bytes / (4 * per_row))
        self.preferred_block_rows = _block_rows(self._values.block_length / per_row, 8 * per_row)

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        firsts, stops = contiguous_runs(rows, self._gap_rows)
        covered = _covered(firsts, stops)
        starts = np.append(0, np.cumsum(self._starts[covered + 1] - self._starts[covered]))
        with reading(self.where):
            values = self._values.read(self._starts[firsts], self._starts[stops])
            columns = self._columns.read(self._starts[firsts], self._starts[stops])
        block = plain_csr(values, columns, starts, (len(covered), self.n_vars), self.where)
        return block, _positions(covered, rows)

    def _refuse_damaged(self, values: StoredArray, columns: StoredArray) -> None:
        starts, stored = self._starts, values.shape[0]
        ascending = len(starts) == self.n_obs + 1 and starts[0] == 0 and not np.any(np.diff(starts) < 0)
        if not ascending or starts[-1] != stored or columns.shape[0] != stored:
            raise DataFileError(
                f"{self.where} must be a CSR matrix of {self.n_obs} rows; its row starts do not fit {stored} values. "
                "The file is damaged: write it again from its source."
            )


class DenseOnDisk(Store):
    """A dense matrix: one array of shape (n_obs, n_vars)."""

    def __init__(self, array: StoredArray, where: str) -> None:
        self.where = where
        self.n_obs, self.n_vars = array.shape
        self._values = LibraryReader(array)
        row_bytes = max(1, self.n_vars * array.dtype.itemsize)
        self._gap_rows = 1 + self._values.call_bytes // row_bytes
        self.preferred_block_rows = _block_rows(self._values.block_length, row_bytes)

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        firsts, stops = contiguous_runs(rows, self._gap_rows)
        with reading(self.where):
            block = as_float32(self._values.read(firsts, stops), self.where)
        return block, _positions(_covered(firsts, stops), rows)


def store_on_disk(item: Stored, where: str) -> Store:
    """A store that reads rows from disk. Raises `DataError` for a matrix stored by columns: its rows lie everywhere."""
    if is_array(item):
        return DenseOnDisk(item, where)
    if is_group(item) and stored_form(item, where) == "csr":
        return CsrOnDisk(item, where)
    raise DataError(
        f"{where} must be stored by rows (CSR) or dense to be read in pieces; it is stored by columns (CSC). "
        "Read it whole with in_memory=True, or convert it once: adata.X = adata.X.tocsr(); adata.write_h5ad(...)."
    )


def contiguous_runs(rows: np.ndarray, gap_rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """First and stop of the runs that cover ascending `rows`; rows at most `gap_rows` apart share a run."""
    if not len(rows):
        return rows, rows
    breaks = np.flatnonzero(np.diff(rows) > gap_rows)
    return rows[np.append(0, breaks + 1)], rows[np.append(breaks, len(rows) - 1)] + 1


def _covered(firsts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    lengths = stops - firsts
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(firsts - (ends - lengths), lengths)


def _positions(covered: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.arange(len(rows)) if len(covered) == len(rows) else np.searchsorted(covered, rows)


def _block_rows(wanted: float, row_bytes: float) -> int:
    """So many rows, within bounds."""
    least = np.clip(MIN_BLOCK_BYTES / row_bytes, MIN_BLOCK_ROWS, ENOUGH_BLOCK_ROWS)
    most = np.clip(MAX_BLOCK_BYTES / row_bytes, MIN_BLOCK_ROWS, MAX_BLOCK_ROWS)
    return int(np.clip(wanted, least, most))
