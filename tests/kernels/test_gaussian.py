"""The oracle is float64; residuals and variances of any size lose no digits."""

import itertools

import numpy as np
import torch
from scipy import sparse, stats

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods import Gaussian

TOLERANCE = 1e-5  # that of the plain path in float32
CASES = itertools.product([0, 1e-3, -1.0, 50.0, 1e4], [-1e4, -1.0, 0.0, 0.999, 49.9, 1e4], [1e-6, 0.1, 1.0, 1e6])
X, MEAN, VARIANCE = np.array(list(CASES)).T


def test_values_and_gradients_are_exact_for_means_and_variances_of_any_size(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")
    for case in range(len(X)):  # one cell with one feature each, for sums would hide the small ones
        head = Gaussian(variance="feature").head(1, 1)
        with torch.no_grad():
            head.location.weight.fill_(MEAN[case])
            head.location.bias.zero_()
            head.log_variance.fill_(float(np.log(VARIANCE[case])))
        rows = SparseRows.of(sparse.csr_matrix(X[[case]][None]))
        log_prob = head.log_prob(torch.ones(1, 1), rows, torch.ones(1, 1))
        log_prob.backward()
        x, mean = (np.float64(tensor.item()) for tensor in (rows.dense(), head.location.weight))
        variance = np.exp(np.float64(head.log_variance.item()))
        expected = stats.norm.logpdf(x, mean, np.sqrt(variance))
        assert abs(log_prob.item() - expected) < TOLERANCE * max(1, abs(expected))
        by_mean, by_log_variance = (x - mean) / variance, ((x - mean) ** 2 / variance - 1) / 2
        assert abs(head.location.bias.grad.item() - by_mean) <= TOLERANCE * abs(by_mean)
        assert abs(head.log_variance.grad.item() - by_log_variance) <= TOLERANCE * max(1, abs(by_log_variance))
