"""Plain values: float32 rows that equal the input, whatever it was."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.data.values import plain_csr, plain_rows
from cellwright.errors import DataError, DataFileError

DENSE = np.array([[0, 2, 0, 1], [0, 0, 0, 0], [5, 0, 3, 0]])
SPARSE_KINDS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_matrix": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
}
DTYPES = ["float32", "float64", "int64", "uint8", "bool"]


@pytest.mark.parametrize("kind", SPARSE_KINDS.values(), ids=SPARSE_KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_input_becomes_equal_float32_csr(kind, dtype):
    rows = plain_rows(kind(DENSE.astype(dtype)), "X")
    assert rows.format == "csr"
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.toarray(), DENSE.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_dense_input_stays_dense_and_equal(dtype, order):
    rows = plain_rows(np.asarray(DENSE, dtype=dtype, order=order), "X")
    assert type(rows) is np.ndarray
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, DENSE.astype(dtype).astype(np.float32))


def test_plain_input_is_shared_not_copied():
    matrix = sparse.csr_matrix(DENSE.astype(np.float32))
    assert np.shares_memory(plain_rows(matrix, "X").data, matrix.data)


def test_unsorted_doubled_and_zero_entries_become_plain_and_the_input_stays():
    values, columns, starts = np.float32([1, 2, 3, 0, 4]), np.array([3, 1, 3, 0, 2]), np.array([0, 3, 5])
    matrix = sparse.csr_matrix((values.copy(), columns.copy(), starts.copy()), shape=(2, 4))
    rows = plain_rows(matrix, "X")
    assert (list(rows.data), list(rows.indices), list(rows.indptr)) == ([2, 4, 4], [1, 3, 2], [0, 2, 3])
    np.testing.assert_array_equal(matrix.data, values)
    np.testing.assert_array_equal(matrix.indices, columns)


def test_a_number_beyond_float32_becomes_infinite_without_a_warning():
    assert np.isinf(plain_rows(np.array([[1e300]]), "X")[0, 0])


@pytest.mark.parametrize("matrix", [np.array([["a"]]), [[1.0]], np.array([[1j]])], ids=["text", "list", "complex"])
def test_what_is_no_matrix_of_numbers_is_refused_by_name(matrix):
    with pytest.raises(DataError, match=r"layers\['counts'\] must"):
        plain_rows(matrix, "layers['counts']")


@pytest.mark.parametrize(
    ("columns", "starts"),
    [([0, 9], [0, 1, 2]), ([-1, 0], [0, 1, 2]), ([0, 1], [0, 3, 2]), ([0, 1], [1, 1, 2]), ([0, 1], [0, 2])],
    ids=["column too large", "column negative", "starts fall", "starts not from zero", "too few rows"],
)
def test_arrays_that_do_not_fit_together_are_refused(columns, starts):
    with pytest.raises(DataFileError, match="X must be a sparse matrix of shape"):
        plain_csr(np.ones(2), np.array(columns), np.array(starts), (2, 4), "X")
