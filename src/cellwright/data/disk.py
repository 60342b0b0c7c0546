"""Stores on disk: rows of a CSR or dense matrix in HDF5 or zarr, read in contiguous runs.

    ascending rows -contiguous_runs-> [first, stop) pairs -one read each-> rows, with those in small gaps dropped again

Of a CSR matrix the row starts are held in memory (8 bytes a cell). The file closes when its last store is collected.
"""

import numpy as np

from cellwright.data.safety import reading
from cellwright.data.source import Matrix, Store
from cellwright.data.stored import Stored, StoredArray, StoredGroup, is_array, is_group, sparse_shape, stored_form
from cellwright.data.values import as_float32, plain_csr
from cellwright.errors import DataError, DataFileError

# a read call takes about as long as reading so many bytes more, so smaller gaps between rows are read too and dropped
GAP_BYTES = 65_536
# blocks are at least so long that a call reads more than it costs, and at most so long that a buffer of
# `plan.BUFFER_ROWS` still mixes 16 places of the file
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 1024


class CsrOnDisk(Store):
    """A CSR matrix as AnnData writes it: a group with `data`, `indices` and `indptr`."""

    def __init__(self, group: StoredGroup, where: str) -> None:
        self.where = where
        self.n_obs, self.n_vars = sparse_shape(group)
        self._values: StoredArray = group["data"]
        self._columns: StoredArray = group["indices"]
        self._starts = np.asarray(group["indptr"][:], dtype=np.int64)
        self._refuse_damaged()
        per_row = max(1.0, self._starts[-1] / max(1, self.n_obs))
        self._gap_rows = 1 + int(GAP_BYTES / (8 * per_row))
        self.preferred_block_rows = _block_rows(self._values, per_row)

    def read(self, rows: np.ndarray) -> Matrix:
        firsts, stops = contiguous_runs(rows, self._gap_rows)
        covered = _covered(firsts, stops)
        starts = np.append(0, np.cumsum(self._starts[covered + 1] - self._starts[covered]))
        with reading(self.where):
            values = _concatenated(self._values, self._starts[firsts], self._starts[stops])
            columns = _concatenated(self._columns, self._starts[firsts], self._starts[stops])
        block = plain_csr(values, columns, starts, (len(covered), self.n_vars), self.where)
        return block if len(covered) == len(rows) else block[np.searchsorted(covered, rows)]

    def _refuse_damaged(self) -> None:
        starts, stored = self._starts, self._values.shape[0]
        ascending = len(starts) == self.n_obs + 1 and starts[0] == 0 and not np.any(np.diff(starts) < 0)
        if not ascending or starts[-1] != stored or self._columns.shape[0] != stored:
            raise DataFileError(
                f"{self.where} must be a CSR matrix of {self.n_obs} rows; its row starts do not fit {stored} values. "
                "The file is damaged: write it again from its source."
            )


class DenseOnDisk(Store):
    """A dense matrix: one array of shape (n_obs, n_vars)."""

    def __init__(self, array: StoredArray, where: str) -> None:
        self.where = where
        self.n_obs, self.n_vars = array.shape
        self._array = array
        self._gap_rows = 1 + GAP_BYTES // max(1, self.n_vars * array.dtype.itemsize)
        self.preferred_block_rows = _block_rows(array, 1)

    def read(self, rows: np.ndarray) -> Matrix:
        firsts, stops = contiguous_runs(rows, self._gap_rows)
        covered = _covered(firsts, stops)
        with reading(self.where):
            block = as_float32(_concatenated(self._array, firsts, stops), self.where)
        return block if len(covered) == len(rows) else block[np.searchsorted(covered, rows)]


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
    return np.concatenate([np.zeros(0, np.int64), *map(np.arange, firsts, stops)])


def _concatenated(array: StoredArray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The pieces [begin, end) of an array along its first axis, one after the other."""
    bounds = np.append(0, np.cumsum(ends - begins))
    out = np.empty((bounds[-1], *array.shape[1:]), array.dtype)
    for at, begin, end in zip(bounds, begins, ends, strict=False):
        out[at : at + end - begin] = array[begin:end]
    return out


def _block_rows(array: StoredArray, values_per_row: float) -> int:
    """As many rows as a chunk holds, within bounds; a contiguous array has no chunks."""
    chunk = array.chunks[0] if array.chunks else 0
    return int(np.clip(chunk / values_per_row, MIN_BLOCK_ROWS, MAX_BLOCK_ROWS))
