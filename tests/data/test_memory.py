"""The store in memory: rows as asked for."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.data.memory import MemoryStore

DENSE = np.random.default_rng(0).poisson(0.5, (20, 7)).astype(np.float32)


@pytest.mark.parametrize("rows", [[], [4], [0, 3, 4, 19]], ids=["none", "one", "several"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_array], ids=["dense", "csr", "csc"])
def test_rows_equal_those_of_the_matrix(kind, rows):
    store = MemoryStore(kind(DENSE), "X")
    block = store.read(np.array(rows, dtype=int))
    assert isinstance(block, np.ndarray) == (kind is np.asarray)
    np.testing.assert_array_equal(sparse.csr_matrix(block).toarray(), DENSE[rows])
    assert (store.n_obs, store.n_vars) == DENSE.shape


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
def test_nothing_is_copied_around_the_rows(kind):
    matrix = kind(DENSE)
    found, at = MemoryStore(matrix, "X").around(np.array([3, 7]))
    assert at.tolist() == [3, 7]
    assert np.shares_memory(getattr(found, "data", found), getattr(matrix, "data", matrix))
