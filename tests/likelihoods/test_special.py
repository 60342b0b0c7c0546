"""The oracle is mpmath with 40 digits, at exactly the numbers that float32 or float64 hold."""

import mpmath
import numpy as np
import pytest
import torch

from cellwright.likelihoods.special import log_gap, stirling_error, stirling_error_slope

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float32, 1e-5, id="float32"), pytest.param(torch.float64, 1e-9, id="float64")],
)


@pytest.fixture(autouse=True)
def forty_digits():
    with mpmath.workdps(40):
        yield


def exactly(function, numbers):
    return np.array([float(function(mpmath.mpf(z))) for z in numbers.double().tolist()])


def positive(dtype):
    return torch.cat([torch.logspace(-6, 7, 400, dtype=dtype), torch.tensor([7.999, 8.0, 8.001], dtype=dtype)])


@PRECISIONS
def test_stirling_error_equals_log_gamma_minus_stirlings_formula(dtype, tolerance):
    z = positive(dtype)
    expected = exactly(lambda z: mpmath.loggamma(z) - (z - 0.5) * mpmath.log(z) + z - mpmath.log(2 * mpmath.pi) / 2, z)
    np.testing.assert_allclose(stirling_error(z).double(), expected, atol=tolerance, rtol=0)


@PRECISIONS
def test_stirling_error_slope_equals_the_derivative(dtype, tolerance):
    z = positive(dtype)
    expected = exactly(lambda z: mpmath.digamma(z) - mpmath.log(z) + 1 / (2 * z), z)
    np.testing.assert_allclose(stirling_error_slope(z).double(), expected, atol=tolerance, rtol=tolerance)


@PRECISIONS
def test_log_gap_keeps_its_digits_where_t_is_small(dtype, tolerance):
    t = torch.logspace(-12, 4, 200, dtype=dtype)
    t = torch.cat([t, -t[t < 0.99]])
    expected = exactly(lambda t: t - mpmath.log1p(t), t)
    np.testing.assert_allclose(log_gap(t, torch.log1p(t)).double(), expected, rtol=tolerance)
