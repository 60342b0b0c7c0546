import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.negative_binomial import negative_binomial_log_prob
from cellwright.likelihoods.zinb import zinb_log_prob

CASES = list(itertools.product([0, 1, 50], [1e-6, 0.1, 5.0, 1e4], [-60.0, -15.0, -1.0, 0.0, 3.0, 60.0]))


def exact(x, log_mean, logits, theta):
    with mpmath.workdps(60):
        x, log_mean, logits, theta = map(mpmath.mpf, (x, log_mean, logits, theta))
        mean, dropout = mpmath.exp(log_mean), 1 / (1 + mpmath.exp(-logits))
        rising = mpmath.gamma(x + theta) / mpmath.gamma(theta) / mpmath.factorial(x)
        counted = (1 - dropout) * rising * (theta / (theta + mean)) ** theta * (mean / (theta + mean)) ** x
        return float(mpmath.log(counted + (dropout if x == 0 else 0)))


@pytest.mark.parametrize("theta", [1e-2, 1.0, 1e4])
def test_log_prob_is_exact_in_float32_for_extreme_means_and_dropouts(theta):
    counts, means, logits = np.array(CASES, dtype=np.float64).T
    log_mean, logits = (torch.from_numpy(v).float()[:, None] for v in (np.log(means), logits))
    thetas = torch.tensor([theta])
    got = zinb_log_prob(SparseRows.of(counts[:, None]), log_mean, thetas, logits).double().numpy()
    cases = zip(counts.tolist(), log_mean[:, 0].tolist(), logits[:, 0].tolist(), strict=True)
    expected = np.array([exact(*case, thetas.item()) for case in cases])
    assert (np.abs(got - expected) / np.maximum(1, np.abs(expected))).max() < 1e-5


def test_without_dropout_it_is_the_negative_binomial():
    rng = np.random.default_rng(0)
    x = SparseRows.of(rng.poisson(1, (20, 10)).astype(np.float32)).map(torch.Tensor.double)
    log_mean, theta = torch.from_numpy(rng.normal(size=(20, 10))), torch.from_numpy(rng.gamma(2, size=10))
    without = torch.full((20, 10), -50.0, dtype=torch.float64)  # a dropout of 2e-22
    torch.testing.assert_close(
        zinb_log_prob(x, log_mean, theta, without), negative_binomial_log_prob(x, log_mean, theta), rtol=1e-12, atol=0
    )
