import numpy as np
import pytest
import torch
from scipy import sparse

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.gaussian import Gaussian, gaussian_log_prob


def test_unit_variance_is_half_the_squared_error_and_a_constant():
    rng = np.random.default_rng(0)
    x, mean = rng.normal(size=(7, 5)), rng.normal(size=(7, 5))
    log_prob = gaussian_log_prob(
        SparseRows.of(x).map(lambda _: torch.from_numpy(x)), torch.from_numpy(mean), torch.zeros(5, dtype=torch.float64)
    )
    np.testing.assert_allclose(log_prob, -((x - mean) ** 2).sum(1) / 2 - 5 / 2 * np.log(2 * np.pi), rtol=1e-12)


def test_values_close_to_a_large_mean_do_not_cancel():
    x = sparse.csr_matrix(np.full((1, 1000), 4096.0, dtype=np.float32))
    log_prob = gaussian_log_prob(SparseRows.of(x), torch.full((1, 1000), 4096.5), torch.zeros(1000))
    assert log_prob.item() == pytest.approx(-1000 * (0.25 + np.log(2 * np.pi)) / 2, rel=1e-6)


def test_the_best_log_variance_per_feature_is_that_of_the_residuals():
    rng = np.random.default_rng(0)
    x = rng.normal(scale=[0.5, 1.0, 3.0], size=(200, 3))
    log_variance = torch.from_numpy(np.log((x**2).mean(axis=0))).requires_grad_()
    rows = SparseRows.of(x).map(lambda _: torch.from_numpy(x))
    gaussian_log_prob(rows, torch.zeros(200, 3, dtype=torch.float64), log_variance).sum().backward()
    torch.testing.assert_close(log_variance.grad, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("variance", "names"), [("unit", set()), ("feature", {"log_variance"})])
def test_the_variance_is_a_parameter_only_where_it_is_learned(variance, names):
    parameters = {name for name, _ in Gaussian(variance=variance).head(2, 3).named_parameters()}
    assert parameters == {"location.weight", "location.bias"} | names
