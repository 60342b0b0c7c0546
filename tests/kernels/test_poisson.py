"""The oracle has 40 digits: the kernel is exact for means of 1e-8 to 1e8 and counts to 1e5."""

import itertools

import mpmath
import numpy as np

from cellwright.likelihoods import Poisson

TOLERANCE = 1e-5  # that of the plain path in float32
MEANS = [1e-8, 1e-3, 0.1, 1.0, 30.0, 1e3, 1e5, 1e8]
# log x! is tabulated below 256
COUNTS = [0, 1, 2, 9, 100, 255, 256, 1_000, 100_000, 0.25, 2.5, 255.5, 1_000.5]
NEAR = [(x, x * factor) for x in COUNTS[1:] for factor in (0.9, 0.999, 1.0, 1.001, 1.1)]
X, MEAN = np.array([*itertools.product(COUNTS, MEANS), *NEAR]).T


def exact(x, log_mean):
    with mpmath.workdps(40):
        x, log_mean = map(mpmath.mpf, (x, log_mean))
        return float(x * log_mean - mpmath.exp(log_mean) - mpmath.loggamma(x + 1))


def test_log_prob_is_exact_for_extreme_means_and_counts(cells_of):
    # a cell for each case, of one feature beside one whose mean and zero add 1e-6
    cells = cells_of(Poisson(), np.stack([X, 0 * X], axis=1), np.stack([MEAN, 0 * MEAN + 1e-6], axis=1))
    expected = np.array([exact(x, m[0]) + exact(0, m[1]) for x, m in zip(X, cells.log_mean, strict=True)])
    error = cells.log_prob().detach().double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < TOLERANCE


def test_gradients_are_exact_for_extreme_means_and_counts(cells_of):
    cells = cells_of(Poisson(), X[None], MEAN[None])
    cells.log_prob().sum().backward()
    mean = np.exp(cells.log_mean[0])
    share = mean / mean.sum()
    expected = X - mean - share * (X - mean).sum()
    # a derivative is a difference of x's part and the mean's, and the softmax passes each on to all shares
    size = np.maximum(1, X + mean + share * (X + mean).sum())
    error = cells.head.share.bias.grad.double().numpy() - expected
    assert (np.abs(error) / size).max() < TOLERANCE
