"""StoredSource: minibatches over stores, with cells that lack a modality."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cellwright.core.schema import Schema
from cellwright.data.memory import MemoryStore
from cellwright.data.plan import Sequential, Weighted
from cellwright.data.source import Annotation, StoredSource, in_order

DENSE = np.random.default_rng(0).poisson(0.7, (30, 6)).astype(np.float32)


def source(form=sparse.csr_matrix, row_of=None, n_obs: int = 30) -> StoredSource:
    unknown = np.full(n_obs, -1)
    annotation = Annotation(
        obs=pd.DataFrame(index=[f"c{i}" for i in range(n_obs)]),
        batch=np.arange(n_obs) % 3,
        label=np.arange(n_obs) % 2,
        condition=unknown,
        time=np.arange(n_obs, dtype=np.float32),
        covariates=np.arange(2 * n_obs, dtype=np.float32).reshape(n_obs, 2),
        coordinates=np.arange(2 * n_obs, 4 * n_obs, dtype=np.float32).reshape(n_obs, 2),
    )
    schema = Schema(features={"X": tuple(f"g{i}" for i in range(6))})
    row_of = {} if row_of is None else {"X": row_of}
    return StoredSource(schema, {"X": MemoryStore(form(DENSE), "X")}, annotation, row_of)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@given(row_of=st.permutations([*range(30), -1, -1, -1]), rows=st.sets(st.integers(0, 32)).map(sorted))
def test_cells_without_a_modality_are_rows_of_zeros_and_others_their_own_row(form, row_of, rows):
    row_of, rows = np.array(row_of), np.array(rows, dtype=int)
    block = source(form, row_of, n_obs=33).read("X", rows)
    expected = np.where(row_of[:, None] >= 0, DENSE[row_of], 0)[rows]
    assert isinstance(block, np.ndarray) == (form is np.asarray)
    np.testing.assert_array_equal(sparse.csr_matrix(block).toarray(), expected)
    assert isinstance(block, np.ndarray) or block.has_canonical_format


def test_every_field_of_a_minibatch_is_about_the_same_cells():
    rows = np.array([7, 2, 2, 29, 11])
    first = next(source().minibatches(rows, 5, Sequential(), np.random.default_rng(0)))
    np.testing.assert_array_equal(first.rows, rows)
    np.testing.assert_array_equal(first.x.dense(), DENSE[rows])
    np.testing.assert_array_equal(first.library[:, 0], DENSE[rows].sum(axis=1))
    np.testing.assert_array_equal(first.batch, rows % 3)
    np.testing.assert_array_equal(first.label, rows % 2)
    np.testing.assert_array_equal(first.time, rows)
    np.testing.assert_array_equal(first.covariates, np.stack([2 * rows, 2 * rows + 1], axis=1))
    np.testing.assert_array_equal(first.coordinates, first.covariates + 60)
    assert first.weight.tolist() == [1.0] * 5
    assert first.present.all()


def test_a_row_drawn_twice_is_in_the_minibatch_twice():
    weights = np.zeros(30)
    weights[4] = 1
    minibatch = next(source().minibatches(np.arange(30), 8, Weighted(weights), np.random.default_rng(0)))
    np.testing.assert_array_equal(minibatch.x.dense(), DENSE[[4] * 8])


def test_in_order_gives_all_cells_once_in_order():
    parts = list(in_order(source(), batch_size=7))
    assert np.concatenate([part.rows for part in parts]).tolist() == list(range(30))
    assert [part.n_obs for part in parts] == [7, 7, 7, 7, 2]


def test_in_order_gives_chosen_rows_in_their_order():
    assert next(in_order(source(), np.array([9, 3, 5]))).rows.tolist() == [9, 3, 5]
