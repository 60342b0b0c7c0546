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
