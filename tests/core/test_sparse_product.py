"""The oracle is the dense product in float64; the bound is that of a sum of k products in float32, gamma_(k + 1)."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellwright.core.minibatch import SparseRows
from cellwright.errors import SchemaMismatch
from cellwright.kernels import sparse_linear

EPSILON = 2.0**-24


class Case:
    """CSR rows with columns in any order, some rows and columns empty, a weight and a gradient from above."""

    def __init__(self, n_obs, n_vars, n_out, density, seed):
        rng = np.random.default_rng(seed)
        stored = rng.random((n_obs, n_vars)) < density
        stored[rng.random(n_obs) < 0.3] = False
        stored[:, rng.random(n_vars) < 0.3] = False
        columns = [rng.permutation(np.flatnonzero(row)) for row in stored]
        starts = np.cumsum([0, *map(len, columns)])
        values = rng.normal(size=starts[-1]).astype(np.float32)
        self.rows = SparseRows(
            torch.from_numpy(values),
            torch.from_numpy(np.concatenate([*columns, []]).astype(np.int32)),
            torch.from_numpy(starts),
            n_vars,
        )
        self.dense = np.zeros((n_obs, n_vars))
        for i, row in enumerate(columns):
            self.dense[i, row] = values[starts[i] : starts[i + 1]]
        self.weight = torch.from_numpy(rng.normal(size=(n_vars, n_out)).astype(np.float32)).requires_grad_()
        self.by_out = torch.from_numpy(rng.normal(size=(n_obs, n_out)).astype(np.float32))


def _assert_product(got, left, right):
    k = np.count_nonzero(left, axis=1)[:, None] + 1
    bound = k * EPSILON / (1 - k * EPSILON) * (np.abs(left) @ np.abs(right))
    assert (np.abs(got.detach().double().numpy() - left @ right) <= bound).all()


# the kernel holds 64 columns in registers, and 2^17 / n_out features in the cache
shapes = given(
    n_obs=st.integers(0, 9),
    n_vars=st.sampled_from([1, 2, 7, 40, 1_023, 1_024, 1_025, 2_500]),
    n_out=st.sampled_from([1, 3, 63, 64, 65, 127, 128, 130, 200]),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 1_000),
)
# 2^17 / 128 features are one block, and one more is two; without values; one feature, one output
with_examples = [
    example(n_obs=5, n_vars=1_025, n_out=128, density=1.0, seed=0),
    example(n_obs=4, n_vars=40, n_out=65, density=0.0, seed=0),
    example(n_obs=1, n_vars=1, n_out=1, density=1.0, seed=2),
    example(n_obs=3, n_vars=140_000, n_out=1, density=0.5, seed=1),
]


def every_shape(test):
    for case in with_examples:
        test = case(test)
    return settings(max_examples=60, deadline=None)(shapes(test))


@pytest.fixture(autouse=True, scope="module")
def _by_kernels():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLWRIGHT_KERNELS", "numba")
        yield


@every_shape
def test_the_product_equals_the_dense_one(n_obs, n_vars, n_out, density, seed):
    case = Case(n_obs, n_vars, n_out, density, seed)
    _assert_product(case.rows.matmul(case.weight), case.dense, case.weight.detach().double().numpy())


@every_shape
def test_the_gradient_equals_the_dense_one(n_obs, n_vars, n_out, density, seed):
    case = Case(n_obs, n_vars, n_out, density, seed)
    (gradient,) = torch.autograd.grad(case.rows.matmul(case.weight), case.weight, case.by_out)
    _assert_product(gradient, case.dense.T, case.by_out.double().numpy())


@pytest.fixture
def case():
    return Case(8, 50, 70, 0.5, 0)


def test_a_transposed_weight_and_gradient_are_read_in_their_own_order(case):
    weight = case.weight.detach().T.contiguous().T.requires_grad_()
    out = case.rows.matmul(weight)
    (gradient,) = torch.autograd.grad(out, weight, case.by_out.T.contiguous().T)
    assert torch.equal(out, case.rows.matmul(case.weight))
    _assert_product(gradient, case.dense.T, case.by_out.double().numpy())


def test_values_that_are_one_number_repeated_in_memory_are_read_as_such(case):
    shared = torch.ones(1).expand(len(case.rows.values))
    rows = SparseRows(shared, case.rows.columns, case.rows.starts, case.rows.n_vars)
    _assert_product(rows.matmul(case.weight), case.dense != 0, case.weight.detach().double().numpy())
    (gradient,) = torch.autograd.grad(rows.matmul(case.weight), case.weight, case.by_out)
    _assert_product(gradient, (case.dense != 0).T, case.by_out.double().numpy())


def test_columns_of_int64_give_the_product_of_int32(case):
    rows = SparseRows(case.rows.values, case.rows.columns.long(), case.rows.starts, case.rows.n_vars)
    assert torch.equal(rows.matmul(case.weight), case.rows.matmul(case.weight))


def test_what_is_not_a_number_in_the_weight_reaches_the_rows_that_store_its_feature(case):
    weight = case.weight.detach().clone()
    weight[3] = torch.nan
    stored = torch.from_numpy(case.dense[:, 3] != 0)
    assert stored.any()
    assert torch.equal(case.rows.matmul(weight).isnan(), stored[:, None].expand(-1, 70))


def test_the_gradient_by_values_is_there(case):
    values = case.rows.values.clone().requires_grad_()
    rows = SparseRows(values, case.rows.columns, case.rows.starts, case.rows.n_vars)
    rows.matmul(case.weight.detach()).backward(case.by_out)
    left, right = case.by_out.double().numpy(), case.weight.detach().double().numpy().T
    dense = torch.zeros(8, 50).index_put((rows.row_of_value, rows.columns), values.grad)
    stored = case.dense != 0
    k = left.shape[1] + 1
    assert (
        np.abs(dense.numpy() - left @ right * stored) <= k * EPSILON / (1 - k * EPSILON) * np.abs(left) @ np.abs(right)
    ).all()


def test_plain_torch_calls_no_kernel_and_gives_the_same(case, monkeypatch):
    compiled = case.rows.matmul(case.weight)

    def refuse(*_):
        raise AssertionError("a kernel was called")

    monkeypatch.setattr(sparse_linear, "product", refuse)
    with pytest.raises(AssertionError, match="a kernel was called"):
        case.rows.matmul(case.weight)
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "torch")
    plain = case.rows.matmul(case.weight)
    _assert_product(plain, case.dense, case.weight.detach().double().numpy())
    assert plain.shape == compiled.shape


def test_rows_with_other_features_than_the_weight_are_refused(case):
    weight = torch.zeros(case.rows.n_vars - 1, 2)
    with pytest.raises(SchemaMismatch, match=f"must have the {len(weight)} features .*; they have {case.rows.n_vars}"):
        case.rows.matmul(weight)


def test_another_default_type_of_torch_changes_nothing(case):
    expected = case.rows.matmul(case.weight)
    torch.set_default_dtype(torch.float64)
    try:
        weight = case.weight.detach().clone().requires_grad_()
        out = case.rows.matmul(weight)
        out.sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(out, expected)
    sums = torch.from_numpy(case.dense.sum(axis=0).astype(np.float32))
    torch.testing.assert_close(weight.grad, sums[:, None].expand_as(weight), rtol=1e-5, atol=1e-5)
