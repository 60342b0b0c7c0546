import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.negative_binomial import negative_binomial_log_prob
from cellwright.likelihoods.zinb import ZINB, zinb_log_prob

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


def test_a_second_measurement_has_the_mean_and_the_zeros_of_the_first():
    """Over many cells of one distribution: what is drawn given a first measurement is distributed as that was."""
    torch.manual_seed(0)
    head, n = ZINB().head(4, 3), 20_000
    head.log_theta.data = torch.tensor([0.0, 1.0, -0.5])
    h, library = torch.randn(1, 4).expand(n, 4), torch.full((n, 1), 12.0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        first = head.sample(h, library, generator)
        x = SparseRows.of(first.numpy())
        second = head.draw_counts_given(h, x, library, generator)
        expected, drawn = head.mean_given(h, x, library), head.draw_given(h, x, library, generator)
    error = 5 * first.std(dim=0) / n**0.5
    for found in (second, expected, drawn):
        assert ((found.mean(dim=0) - first.mean(dim=0)).abs() < error).all()
    assert (((second == 0).float().mean(dim=0) - (first == 0).float().mean(dim=0)).abs() < 5 * 0.5 / n**0.5).all()
    assert torch.corrcoef(torch.stack([first[:, 0], second[:, 0]]))[0, 1] > 0.1
