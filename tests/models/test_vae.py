"""The ELBO's terms are what the formulas say."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models.vae import VAE, VAEOptions


@pytest.fixture(scope="module")
def data():
    return open_data(simulate(SimulateOptions(n_obs=64, n_vars=30, n_batch=3), seed=0).adata, batch_key="batch")


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    return VAE(data.schema, VAEOptions(n_latent=3, n_hidden=8)).eval()


@pytest.fixture(scope="module")
def minibatch(data):
    return next(iter(in_order(data)))


def test_the_kl_term_is_that_of_torch(model, minibatch):
    q = model.posterior(minibatch)
    expected = kl_divergence(Normal(q.mean, q.variance.sqrt()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(model.negative_elbo(minibatch, Step.evaluation(0)).terms["kl"], expected)


def test_the_sample_has_the_posteriors_mean_and_scale(model, minibatch):
    q = model.posterior(minibatch)
    draws = torch.stack([q.draw(NoiseKey(seed).normal(minibatch.rows, 3))[0] for seed in range(4000)])
    standard = (draws.mean(dim=0) - q.mean) / q.variance.sqrt() * np.sqrt(4000)
    # 192 means of 4,000 standard normal numbers each, and their variances
    assert standard.abs().max() < 5
    ratio = draws.var(dim=0) / q.variance
    assert (ratio - 1).abs().max() < 5 * np.sqrt(2 / 4000)


def test_the_loss_is_the_negative_elbo_with_beta(data, minibatch):
    torch.manual_seed(0)
    model = VAE(data.schema, VAEOptions(n_latent=3, beta=2.5, kl_warmup_epochs=10)).eval()
    loss = model.negative_elbo(minibatch, Step(5, NoiseKey(0)))
    expected = loss.terms["reconstruction"] + 2.5 * 0.5 * loss.terms["kl"]
    torch.testing.assert_close(loss.per_cell, expected)


def test_the_decoder_answers_by_batch_and_averages_for_an_unknown_one(model, minibatch):
    from dataclasses import replace

    z = torch.zeros(64, 3)
    with torch.no_grad():
        known = [model.decode(z, replace(minibatch, batch=torch.full((64,), code))) for code in range(3)]
        hidden = model.decoder.conditions(replace(minibatch, batch=torch.full((64,), -1)))
    assert not torch.allclose(known[0], known[1])
    assert torch.allclose(hidden, torch.full((64, 3), 1 / 3))


def test_the_encoder_does_not_look_at_the_batch(model, minibatch):
    from dataclasses import replace

    other = replace(minibatch, batch=(minibatch.batch + 1) % 3)
    assert torch.equal(model.encode(minibatch), model.encode(other))


def test_what_is_learnt_after_the_training_moves_theta_alone(data, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.learn(data, np.arange(64), np.random.default_rng(0))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in changed if name.startswith(("encoder", "decoder"))} == {"decoder.head.log_theta"}
