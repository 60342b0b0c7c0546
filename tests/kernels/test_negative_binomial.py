"""The oracle has 80 digits: the kernel is exact for means of 1e-8 to 1e8, theta of 1e-20 to 1e20 and counts to 1e5."""

import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.likelihoods import NegativeBinomial

TOLERANCE = 1e-5  # that of the plain path in float32
MEANS = [1e-8, 1e-3, 0.1, 1.0, 30.0, 1e3, 1e5, 1e8]
THETAS = [1e-20, 9e-6, 1.1e-5, 1e-4, 0.03, 1.0, 7.9, 8.0, 100.0, 1e4, 1e6, 1.1e6, 1e10, 1e20]
# tabulated to 8, multiplied out to 64, beyond that by log Gamma; and counts that are not whole
COUNTS = [0, 1, 2, 3, 7, 8, 9, 10, 63, 64, 65, 100, 1_000, 100_000, 0.25, 2.5, 8.5, 63.5, 1_000.5]
# near the mean, log p is small and every term in it large
NEAR = [(x, x * factor) for x in COUNTS[1:] for factor in (0.9, 0.999, 1.0, 1.001, 1.1)]
X, MEAN = np.array([*itertools.product(COUNTS, MEANS), *NEAR]).T
every_theta = pytest.mark.parametrize("theta", THETAS)


def exact(x, log_mean, theta):
    """log NB, its derivatives by log mean and by log theta."""
    with mpmath.workdps(80):
        x, log_mean, theta = map(mpmath.mpf, (x, log_mean, theta))
        mean = mpmath.exp(log_mean)
        rising = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
        log_prob = rising - theta * mpmath.log1p(mean / theta) + x * (log_mean - mpmath.log(theta + mean))
        digammas = mpmath.digamma(x + theta) - mpmath.digamma(theta)
        by_theta = digammas - mpmath.log1p(mean / theta) + (mean - x) / (theta + mean)
        return float(log_prob), float((x - mean) * theta / (theta + mean)), float(theta * by_theta)


def _set_theta(head, theta):
    with torch.no_grad():
        head.log_theta.copy_(torch.tensor(theta).log())
    return head.log_theta.detach().exp().double().numpy()


@every_theta
@pytest.mark.parametrize("rest", [1e-3, 1e4, 1e8], ids="the rest of the cell {:g}".format)
def test_log_prob_is_exact_for_extreme_means_thetas_and_counts(cells_of, theta, rest):
    # a cell for each case; the rest is one more feature, with a theta that makes its zero nearly certain
    cells = cells_of(NegativeBinomial(), np.stack([X, 0 * X], axis=1), np.stack([MEAN, 0 * MEAN + rest], axis=1))
    thetas = _set_theta(cells.head, [theta, 1e-4])
    expected = np.array(
        [
            exact(x, own, thetas[0])[0] + exact(0, other, thetas[1])[0]
            for x, (own, other) in zip(X, cells.log_mean, strict=True)
        ]
    )
    error = cells.log_prob().detach().double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < TOLERANCE


@every_theta
def test_gradients_are_exact_for_extreme_means_thetas_and_counts(cells_of, theta):
    # one cell, a feature for each case
    cells = cells_of(NegativeBinomial(), X[None], MEAN[None])
    thetas = _set_theta(cells.head, [theta] * len(X))
    cells.log_prob().sum().backward()
    got = torch.stack([cells.head.share.bias.grad, cells.head.log_theta.grad], dim=1).double().numpy()
    expected = np.array([exact(*case)[1:] for case in zip(X, cells.log_mean[0], thetas, strict=True)])
    # a derivative is a difference of x's part and the mean's; rounding the mean moves it by a part of their size
    size = (X + MEAN) * theta / (MEAN + theta)
    # the softmax passes each feature's derivative on to all shares
    share = np.exp(cells.log_mean[0]) / np.exp(cells.log_mean[0]).sum()
    expected[:, 0] -= share * expected[:, 0].sum()
    size = np.maximum(1, np.abs(expected)) + (size + share * size.sum())[:, None]
    assert (np.abs(got - expected) / size).max() < TOLERANCE


def test_a_count_whose_share_underflows_has_a_finite_value_and_gradient(cells_of):
    cells = cells_of(NegativeBinomial(), np.array([[3.0, 0.0]]), np.array([[np.exp(-60.0), np.exp(60.0)]]))
    thetas = _set_theta(cells.head, [2.0, 1e-4])
    cells.library.fill_(1)  # the mean is e^-120
    log_mean = cells.log_mean[0] - 60
    log_prob = cells.log_prob()
    log_prob.sum().backward()
    expected = exact(3, log_mean[0], thetas[0])[0] + exact(0, log_mean[1], thetas[1])[0]
    assert log_prob.item() == pytest.approx(expected, rel=TOLERANCE)
    assert cells.head.share.bias.grad[0].item() == pytest.approx(3)


def test_a_library_of_zero_gives_probability_one_to_zeros_and_none_to_a_count(cells_of):
    cells = cells_of(NegativeBinomial(), np.array([[0.0, 0.0], [0.0, 1.0], [100.0, 0.0]]), np.ones((3, 2)))
    cells.library.zero_()
    assert cells.log_prob().tolist() == [0.0, -torch.inf, -torch.inf]
