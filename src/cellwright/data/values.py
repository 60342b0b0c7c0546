"""Values as every store hands them out: float32, CSR with sorted columns, or dense where stored dense.

    CSR, CSC or array of any number type -plain_rows-> float32 rows       the arrays given are never written to

Stored zeros are dropped and values stored twice for one position are summed, wherever the matrix lies; so memory and
disk agree bit for bit.
"""

import numpy as np
from scipy import sparse

from cellwright.data.source import Matrix
from cellwright.errors import DataError, DataFileError


def plain_rows(matrix: object, where: str) -> Matrix:
    """A matrix in memory as plain rows; shares the arrays where they are plain already.

    Raises `DataError` for what is neither a SciPy sparse matrix nor an array of numbers.
    """
    if isinstance(matrix, np.ndarray):
        return as_float32(np.asarray(matrix), where)
    if isinstance(matrix, sparse.spmatrix | sparse.sparray):
        rows = matrix.tocsr()
        return plain_csr(rows.data, rows.indices, rows.indptr, rows.shape, where)
    raise DataError(
        f"{where} must be a NumPy array or SciPy sparse matrix; it is {type(matrix).__name__}. Call adata.to_memory()."
    )


def plain_csr(
    values: np.ndarray, columns: np.ndarray, starts: np.ndarray, shape: tuple[int, int], where: str
) -> sparse.csr_matrix:
    """Plain CSR from its three arrays. Raises `DataFileError` where they do not fit together."""
    _refuse_damaged(columns, starts, shape, where)
    rows = sparse.csr_matrix((as_float32(values, where), columns, starts), shape=shape)
    if _is_canonical(rows) and np.count_nonzero(rows.data) == rows.nnz:
        rows.has_canonical_format = True
        return rows
    rows = rows.copy()
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def as_float32(values: np.ndarray, where: str) -> np.ndarray:
    """The numbers as float32; the same array where they are. What float32 cannot hold is infinite: checks refuse it."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where} must hold numbers; it holds {values.dtype}. Convert it, or name another layer.")
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _is_canonical(rows: sparse.csr_matrix) -> bool:
    """Whether columns ascend in every row: they fall at its first value only. SciPy asks row by row, and slower."""
    falls = rows.indices[1:] <= rows.indices[:-1]
    firsts = np.unique(rows.indptr[(rows.indptr > 0) & (rows.indptr < rows.nnz)])
    return bool(np.count_nonzero(falls) == np.count_nonzero(falls[firsts - 1]))


def _refuse_damaged(columns: np.ndarray, starts: np.ndarray, shape: tuple[int, int], where: str) -> None:
    # SciPy's compiled loops trust these; a wrong one reads foreign memory
    within = not len(columns) or (columns.min() >= 0 and columns.max() < shape[1])
    if not within or len(starts) != shape[0] + 1 or starts[0] != 0 or np.any(starts[1:] < starts[:-1]):
        raise DataFileError(
            f"{where} must be a sparse matrix of shape {tuple(map(int, shape))}; its row starts or columns do not fit. "
            "It is damaged: write it again from its source."
        )
