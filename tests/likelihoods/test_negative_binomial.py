import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.negative_binomial import NegativeBinomialHead, negative_binomial_log_prob
from cellwright.likelihoods.poisson import poisson_log_prob

MEANS = [1e-8, 1e-3, 0.1, 1.0, 30.0, 1e3, 1e5, 1e8]
THETAS = [1e-4, 0.03, 1.0, 7.9, 8.0, 100.0, 1e4, 1e6]
COUNTS = [0, 1, 2, 9, 100, 1_000, 100_000]
# near the mean, log p is small and every term in it large
NEAR = [(x, x * factor) for x in COUNTS[1:] for factor in (0.9, 0.999, 1.0, 1.001, 1.1)]
PAIRS = [*itertools.product(COUNTS, MEANS), *NEAR]
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float32, 1e-5, id="float32"), pytest.param(torch.float64, 1e-9, id="float64")],
)


def exact(x, log_mean, theta):
    """log NB, its derivatives by log mean and by log theta, with 40 digits."""
    with mpmath.workdps(40):
        x, log_mean, theta = map(mpmath.mpf, (x, log_mean, theta))
        mean = mpmath.exp(log_mean)
        rising = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
        log_prob = rising - theta * mpmath.log1p(mean / theta) + x * (log_mean - mpmath.log(theta + mean))
        digammas = mpmath.digamma(x + theta) - mpmath.digamma(theta)
        by_theta = digammas - mpmath.log1p(mean / theta) + (mean - x) / (theta + mean)
        return float(log_prob), float((x - mean) * theta / (theta + mean)), float(theta * by_theta)


def inputs(pairs, dtype):
    counts, means = np.array(pairs, dtype=np.float64).T
    rows = SparseRows.of(counts[:, None]).map(lambda values: values.to(dtype))
    return rows, torch.from_numpy(np.log(means)).to(dtype)[:, None]


@PRECISIONS
@pytest.mark.parametrize("theta", THETAS)
def test_log_prob_is_exact_for_extreme_means_thetas_and_counts(theta, dtype, tolerance):
    x, log_mean = inputs(PAIRS, dtype)
    thetas = torch.tensor([theta], dtype=dtype)
    expected = [
        exact(*case, thetas.item())[0] for case in zip(x.values[:, 0].tolist(), log_mean[:, 0].tolist(), strict=True)
    ]
    error = negative_binomial_log_prob(x, log_mean, thetas).double().numpy() - np.array(expected)
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < tolerance


@PRECISIONS
@pytest.mark.parametrize("theta", THETAS)
def test_gradients_are_exact_for_extreme_means_thetas_and_counts(theta, dtype, tolerance):
    x, log_mean = inputs(PAIRS, dtype)
    one_row = SparseRows.of(x.values.double().numpy().T).map(lambda values: values.to(dtype))
    log_mean = log_mean.T.contiguous().requires_grad_()
    thetas = torch.full((len(PAIRS),), theta, dtype=dtype, requires_grad=True)
    negative_binomial_log_prob(one_row, log_mean, thetas).sum().backward()
    got = torch.stack([log_mean.grad[0], thetas.grad * thetas.detach()], dim=1).double().numpy()
    cases = zip(one_row.values[0].tolist(), log_mean[0].tolist(), thetas.tolist(), strict=True)
    expected = np.array([exact(*case)[1:] for case in cases])
    # each derivative is a difference of x's part and the mean's; rounding the mean moves it by a part of their size
    counts, means = np.array(PAIRS).T
    size = np.maximum(1, np.abs(expected)) + ((counts + means) * theta / (means + theta))[:, None]
    assert (np.abs(got - expected) / size).max() < tolerance


def test_a_count_whose_mean_underflows_has_a_finite_value_and_gradient():
    x, log_mean = SparseRows.of(np.array([[3.0]])), torch.tensor([[-200.0]], requires_grad=True)
    log_prob = negative_binomial_log_prob(x, log_mean, torch.tensor([2.0]))
    log_prob.sum().backward()
    assert log_prob.item() == pytest.approx(exact(3, -200, 2)[0], rel=1e-5)
    assert log_mean.grad.item() == pytest.approx(3)


def test_a_large_theta_gives_poisson():
    rng = np.random.default_rng(0)
    x = SparseRows.of(rng.poisson(3, (20, 10)).astype(np.float32)).map(torch.Tensor.double)
    log_mean = torch.from_numpy(rng.normal(1, 1, (20, 10)))
    theta = torch.full((10,), 1e10, dtype=torch.float64)
    # NB - Poisson is of order (x^2 + mean^2) / theta
    torch.testing.assert_close(
        negative_binomial_log_prob(x, log_mean, theta), poisson_log_prob(x, log_mean), atol=1e-5, rtol=0
    )


def test_a_mean_of_zero_gives_probability_one_to_zero_and_none_to_a_count():
    x = SparseRows.of(np.array([[0.0], [1.0]]))
    log_prob = negative_binomial_log_prob(x, torch.full((2, 1), -torch.inf), torch.ones(1))
    assert log_prob.tolist() == [0.0, -torch.inf]


def test_the_mean_given_a_count_is_that_of_the_gamma_distribution_behind_it():
    """E[rate | x] by numerical integration over rate ~ Gamma(theta, theta / mean) and x ~ Poisson(rate)."""
    from scipy.integrate import quad
    from scipy.stats import gamma, poisson

    torch.manual_seed(0)
    head = NegativeBinomialHead(2, 3)
    h, x, library = torch.randn(2, 2), np.array([[0, 2, 9], [1, 0, 4]], dtype=np.float32), torch.tensor([[12.0], [5.0]])
    with torch.no_grad():
        found = head.mean_given(h, SparseRows.of(x), library).numpy()
        means, thetas = head.mean(h, library).double().numpy(), head.log_theta.exp().double().numpy()
    for (row, column), count in np.ndenumerate(x):
        mean, theta = means[row, column], thetas[column]

        def density(rate, count=count, mean=mean, theta=theta):
            return gamma.pdf(rate, theta, scale=mean / theta) * poisson.pmf(count, rate)

        moments = [quad(lambda rate, n=n: rate**n * density(rate), 0, np.inf)[0] for n in (0, 1)]
        assert found[row, column] == pytest.approx(moments[1] / moments[0], rel=1e-4)
