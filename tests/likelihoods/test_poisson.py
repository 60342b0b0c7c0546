import itertools

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.poisson import PoissonHead, poisson_log_prob

COUNTS = [0, 1, 2, 9, 100, 1_000, 100_000]
NEAR = [(x, x * factor) for x in COUNTS[1:] for factor in (0.9, 0.999, 1.0, 1.001, 1.1)]
PAIRS = [*itertools.product(COUNTS, [1e-8, 1e-3, 1.0, 30.0, 1e3, 1e5, 1e8]), *NEAR]


def exact(x, log_mean):
    with mpmath.workdps(40):
        return float(x * mpmath.mpf(log_mean) - mpmath.exp(log_mean) - mpmath.loggamma(mpmath.mpf(x) + 1))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float32, 1e-5, id="float32"), pytest.param(torch.float64, 1e-9, id="float64")],
)
def test_log_prob_is_exact_for_extreme_means_and_counts(dtype, tolerance):
    counts, means = np.array(PAIRS, dtype=np.float64).T
    x = SparseRows.of(counts[:, None]).map(lambda values: values.to(dtype))
    log_mean = torch.from_numpy(np.log(means)).to(dtype)[:, None]
    expected = np.array([exact(*case) for case in zip(counts, log_mean[:, 0].tolist(), strict=True)])
    error = poisson_log_prob(x, log_mean).double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < tolerance


def test_a_count_whose_mean_underflows_has_a_finite_value_and_gradient():
    log_mean = torch.tensor([[-200.0]], requires_grad=True)
    log_prob = poisson_log_prob(SparseRows.of(np.array([[3.0]])), log_mean)
    log_prob.sum().backward()
    assert log_prob.item() == pytest.approx(exact(3, -200), rel=1e-5)
    assert log_mean.grad.item() == pytest.approx(3)


def test_the_head_is_a_multinomial_given_the_library_times_a_poisson_of_the_library():
    rng = np.random.default_rng(0)
    counts = rng.poisson(4, (6, 5)).astype(np.float64)
    head = PoissonHead(3, 5).double()
    h, library = torch.from_numpy(rng.normal(size=(6, 3))), torch.from_numpy(counts.sum(1, keepdims=True))
    share = torch.softmax(head.share(h), dim=-1).detach().numpy()
    share /= share.sum(axis=1, keepdims=True)
    total = counts.sum(axis=1)
    expected = [stats.multinomial.logpmf(x, int(n), p) for x, n, p in zip(counts, total, share, strict=True)]
    log_prob = head.log_prob(h, SparseRows.of(counts).map(torch.Tensor.double), library).detach()
    np.testing.assert_allclose(log_prob, np.array(expected) + stats.poisson.logpmf(total, total), rtol=1e-9)
