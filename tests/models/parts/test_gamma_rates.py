"""Gamma rates: theta is the one of greatest likelihood, expectation and draws those of the conjugate posterior."""

import numpy as np
import torch
from scipy import stats
from scipy.optimize import minimize_scalar

from cellwright.core.minibatch import SparseRows
from cellwright.models.parts.gamma_rates import GammaRates

THETA = np.array([0.5, 2.0, 8.0])


def planted(n_obs=800):
    rng = np.random.default_rng(0)
    means = rng.uniform(1, 12, (n_obs, 3))
    return means.astype(np.float32), rng.poisson(rng.gamma(THETA, means / THETA)).astype(np.float32)


def learnt():
    means, x = planted()
    rates = GammaRates(3)
    first, rest = slice(300), slice(300, None)  # blocks need not be of one size
    rates.learn([(SparseRows.of(x[part]), torch.from_numpy(means[part])) for part in (first, rest)])
    return rates, means, x


def test_theta_has_the_greatest_likelihood_of_scipys_negative_binomial():
    rates, means, x = learnt()
    for gene in range(3):

        def loss(log_theta, gene=gene):
            theta = np.exp(log_theta)
            return -stats.nbinom.logpmf(x[:, gene], theta, theta / (theta + means[:, gene])).sum()

        best = minimize_scalar(loss, bounds=(-4, 6), method="bounded").x
        assert abs(float(rates.log_theta[gene]) - best) < 0.05


def test_a_gene_of_few_molecules_takes_the_median_of_the_others():
    """Without a molecule the likelihood rises for ever towards theta 0."""
    means, x = planted()
    rates = GammaRates(5)
    rare = np.zeros((len(x), 2), np.float32)
    rare[0, 1] = 3
    blocks = [(SparseRows.of(np.hstack([x, rare])), torch.from_numpy(np.hstack([means, np.full_like(rare, 3e-3)])))]
    rates.learn(blocks)
    assert torch.equal(rates.log_theta[3:], rates.log_theta[:3].median().expand(2))


def test_expectation_and_draws_are_those_of_the_gamma_posterior():
    rates, means, x = learnt()
    theta = rates.log_theta.exp().numpy()
    rows, few = SparseRows.of(x[:5]), torch.from_numpy(means[:5])
    posterior = stats.gamma(theta + x[:5], scale=1 / (theta / means[:5] + 1))
    np.testing.assert_allclose(rates.expected(few, rows), posterior.mean(), rtol=1e-5)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([rates.draw(few, rows, generator) for _ in range(4000)]).numpy()
    np.testing.assert_allclose(draws.mean(axis=0), posterior.mean(), atol=4 * posterior.std().max() / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0), posterior.std(), rtol=0.1)
