"""The oracle is autograd over the same density written densely: log p = -(x - a)^2 b, a per entry, b per feature."""

import numpy as np
import pytest
import torch
from scipy import sparse

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods import fused
from cellwright.likelihoods.fused import Density, fused_log_prob


def _terms(residual, b):
    return -residual.square() * b, 2 * residual * b, -residual.square()


SQUARE = Density(lambda a, b: _terms(-a, b), lambda x, at, a, b: _terms(x - at(a), at(b)))


def example(n_obs, n_vars, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.poisson(0.4, (n_obs, n_vars)).astype(np.float32)
    a = torch.from_numpy(rng.normal(size=(n_obs, n_vars)).astype(np.float32)).requires_grad_()
    b = torch.from_numpy(rng.uniform(1, 2, n_vars).astype(np.float32)).requires_grad_()
    weight = torch.from_numpy(rng.uniform(size=n_obs).astype(np.float32))
    return x, a, b, weight


def gradients(log_prob, weight, a, b):
    return torch.autograd.grad((log_prob * weight).sum(), (a, b))


@pytest.mark.parametrize("block_entries", [1, 7, 2**20], ids=["row by row", "few rows", "at once"])
@pytest.mark.parametrize(("n_obs", "n_vars"), [(1, 1), (9, 4), (30, 3)], ids=str)
def test_value_and_gradients_equal_autograd_for_any_block(monkeypatch, block_entries, n_obs, n_vars):
    monkeypatch.setattr(fused, "_BLOCK_ENTRIES", block_entries)
    x, a, b, weight = example(n_obs, n_vars)
    log_prob = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a, b))
    expected = (-((torch.from_numpy(x) - a) ** 2) * b).sum(dim=1)
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(gradients(log_prob, weight, a, b), gradients(expected, weight, a, b))


def test_gradients_outside_where_are_zero():
    x, a, b, weight = example(9, 4)
    where = torch.from_numpy(np.random.default_rng(1).random((9, 4)) < 0.5)
    log_prob = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a, b), where)
    by_a, _ = gradients(log_prob, weight, a, b)
    assert torch.equal(by_a != 0, where)


def test_a_stored_zero_is_a_zero():
    x, a, b, _ = example(9, 4)
    stored = SparseRows.of(sparse.csr_matrix(x + 1)).map(lambda values: values - 1)
    expected = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a, b))
    assert torch.equal(fused_log_prob(SQUARE, stored, (a, b)), expected)


def test_no_cells_give_no_values_and_zero_gradients():
    x, a, b, weight = example(0, 4)
    log_prob = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a, b))
    assert log_prob.shape == (0,)
    assert torch.equal(gradients(log_prob, weight, a, b)[1], torch.zeros(4))


def test_only_the_parameters_that_ask_get_a_gradient():
    x, a, b, _ = example(9, 4)
    log_prob = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a.detach(), b))
    (by_b,) = torch.autograd.grad(log_prob.sum(), (b,))
    torch.testing.assert_close(by_b, -((torch.from_numpy(x) - a.detach()) ** 2).sum(dim=0))


def test_parameters_in_reduced_precision_are_evaluated_in_that_of_the_values():
    x, a, b, _ = example(9, 4)
    rows = SparseRows.of(sparse.csr_matrix(x))
    log_prob = fused_log_prob(SQUARE, rows, (a.bfloat16(), b))
    assert torch.equal(log_prob, fused_log_prob(SQUARE, rows, (a.bfloat16().float(), b)))


def test_a_second_derivative_is_refused_rather_than_wrong():
    x, a, b, _ = example(9, 4)
    log_prob = fused_log_prob(SQUARE, SparseRows.of(sparse.csr_matrix(x)), (a, b))
    with pytest.raises(NotImplementedError, match="differentiated once"):
        torch.autograd.grad(log_prob.sum(), (a,), create_graph=True)
