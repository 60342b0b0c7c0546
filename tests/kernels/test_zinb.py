"""The oracle has 60 digits: the kernel is exact where dropout or the counts are certain, and between them."""

import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.likelihoods import ZINB

CASES = itertools.product([0, 1, 8, 50, 2.5], [1e-6, 0.1, 5.0, 1e4], [-60.0, -15.0, -1.0, 0.0, 3.0, 60.0])
X, MEAN, DROPOUT = np.array(list(CASES)).T
TOLERANCE = 1e-5  # that of the plain path in float32


def exact(x, log_mean, dropout_logit, theta):
    """log ZINB and its derivative by the dropout logit."""
    with mpmath.workdps(60):
        x, log_mean, a, theta = map(mpmath.mpf, (x, log_mean, dropout_logit, theta))
        mean, dropout = mpmath.exp(log_mean), 1 / (1 + mpmath.exp(-a))
        rising = mpmath.gamma(x + theta) / mpmath.gamma(theta) / mpmath.gamma(x + 1)
        counted = rising * (theta / (theta + mean)) ** theta * (mean / (theta + mean)) ** x
        zero = 1 if x == 0 else 0
        p = (1 - dropout) * counted + dropout * zero
        return float(mpmath.log(p)), float(dropout * (1 - dropout) * (zero - counted) / p)


@pytest.mark.parametrize("theta", [1e-2, 1.0, 1e4])
def test_value_and_gradient_by_dropout_are_exact_for_extreme_means_and_dropouts(cells_of, theta):
    # a cell for each case; the other feature's zero is nearly certain: its theta is small, its dropout none
    cells = cells_of(ZINB(), np.stack([X, 0 * X], axis=1), np.stack([MEAN, 0 * MEAN + 10], axis=1))
    head = cells.head
    with torch.no_grad():
        head.dropout_logits.weight.copy_(torch.from_numpy(np.stack([DROPOUT, 0 * DROPOUT - 60])))
        head.dropout_logits.bias.zero_()
        head.log_theta.copy_(torch.tensor([theta, 1e-4]).log())
    thetas = head.log_theta.detach().exp().double().numpy()
    log_prob = cells.log_prob()
    log_prob.sum().backward()
    own = np.array([exact(x, m[0], a, thetas[0]) for x, m, a in zip(X, cells.log_mean, DROPOUT, strict=True)])
    other = np.array([exact(0, m[1], -60, thetas[1])[0] for m in cells.log_mean])
    expected = own[:, 0] + other
    error = log_prob.detach().double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < TOLERANCE
    # it is a difference of two probabilities
    assert np.abs(head.dropout_logits.weight.grad[0].double().numpy() - own[:, 1]).max() < TOLERANCE
