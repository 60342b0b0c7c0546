"""SparseRows does with stored values what dense algebra does with all of them."""

import numpy as np
import pytest
import torch
from scipy import sparse

from cellwright.core.minibatch import SparseRows


@pytest.fixture(params=["csr", "dense", "empty_rows_and_columns"])
def pair(request):
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.4, (7, 11)).astype(np.float32)
    if request.param == "empty_rows_and_columns":
        dense[[0, 3, 6]] = 0
        dense[:, [0, 10]] = 0
    return SparseRows.of(dense if request.param == "dense" else sparse.csr_matrix(dense)), torch.from_numpy(dense)


def test_dense_gives_the_matrix_back(pair):
    rows, dense = pair
    assert torch.equal(rows.dense(), dense)
    assert rows.n_obs == 7


def test_matmul_equals_the_dense_product_and_its_gradient(pair):
    rows, dense = pair
    weight = torch.randn(11, 3, dtype=torch.float32, requires_grad=True)
    out = rows.matmul(weight)
    torch.testing.assert_close(out, dense @ weight, rtol=1e-5, atol=1e-6)
    upstream = torch.randn(7, 3)
    (gradient,) = torch.autograd.grad(out, weight, upstream)
    torch.testing.assert_close(gradient, dense.T @ upstream, rtol=1e-5, atol=1e-6)


def test_sum_rows_equals_the_dense_sum(pair):
    rows, dense = pair
    torch.testing.assert_close(rows.sum_rows(), dense.sum(dim=1))


def test_scale_rows_multiplies_each_row_by_its_factor(pair):
    rows, dense = pair
    factor = torch.arange(1, 8, dtype=torch.float32)
    assert torch.equal(rows.scale_rows(factor).dense(), dense * factor[:, None])


def test_map_applies_to_stored_values(pair):
    rows, dense = pair
    assert torch.equal(rows.map(torch.log1p).dense(), torch.log1p(dense))


def test_gather_reads_a_dense_matrix_at_the_stored_positions(pair):
    rows, dense = pair
    matrix = torch.randn(7, 11)
    expected = torch.where(dense != 0, matrix, 0.0).sum(dim=1) if not rows.is_dense else matrix.sum(dim=1)
    torch.testing.assert_close(rows.sum_by_row(rows.gather(matrix)), expected)


def test_keep_sets_the_other_values_to_zero(pair):
    rows, dense = pair
    kept = rows.keep(lambda row, column: (row + column) % 2 == 0).dense()
    wanted = (torch.arange(7)[:, None] + torch.arange(11)) % 2 == 0
    assert torch.equal(kept, dense * wanted)


@pytest.mark.parametrize("rows", [[4, 0, 4, 6], []], ids=["some, one twice", "none"])
def test_rows_are_taken_in_the_order_given(pair, rows):
    matrix, dense = pair
    assert torch.equal(matrix.at(torch.tensor(rows, dtype=torch.int64)).dense(), dense[rows])
