"""Which objective teaches which part of the adversarial autoencoder, and what its terms are."""

import math

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models.adversarial import AdversarialAutoencoder, AdversarialAutoencoderOptions
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

STEP = Step(0, NoiseKey(0))


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=300, n_vars=40, n_batch=3), seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch")


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    return AdversarialAutoencoder(data.schema, AdversarialAutoencoderOptions(n_latent=3, n_hidden=16))


@pytest.fixture
def minibatch(data):
    return next(iter(in_order(data, np.arange(64))))


def taught(model):
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_the_autoencoder_learns_from_its_loss_and_the_critics_from_theirs(model, minibatch):
    model.autoencoder_loss(minibatch, STEP).per_cell.mean().backward()
    assert taught(model) == {"encoder", "decoder"}
    model.zero_grad()
    model.critics_loss(minibatch, STEP).per_cell.mean().backward()
    assert taught(model) == {"prior_critic", "batch_critic"}


def test_a_single_batch_has_no_critic(cells, minibatch):
    data = open_data(cells)
    model = AdversarialAutoencoder(data.schema)
    assert model.batch_critic is None
    one = next(iter(in_order(data, np.arange(8))))
    assert set(model.autoencoder_loss(one, STEP).terms) == {"reconstruction", "prior"}
    assert set(model.critics_loss(one, STEP).terms) == {"prior", "penalty"}


def test_shares_of_batches_are_those_of_the_training_rows(model, data):
    rows = np.flatnonzero(data.annotation.batch != 2)[:50]
    model.prepare(0, data, rows, np.random.default_rng(0))
    expected = np.bincount(data.annotation.batch[rows], minlength=3) / 50
    np.testing.assert_allclose(model.batch_shares.numpy(), expected, rtol=1e-6)
    assert model.batch_shares[2] == 0


def test_critics_that_know_nothing_cost_what_a_guess_costs(model, minibatch):
    for critic in (model.prior_critic, model.batch_critic):
        for parameter in critic.parameters():
            torch.nn.init.zeros_(parameter)
    model.eval()
    terms = model.critics_loss(minibatch, STEP).terms
    for name, nats in (("prior", 2 * math.log(2)), ("batch", math.log(3)), ("penalty", 0.0)):
        torch.testing.assert_close(terms[name], torch.full((64,), nats))
    terms = model.autoencoder_loss(minibatch, STEP).terms
    torch.testing.assert_close(terms["prior"], torch.full((64,), math.log(2)))
    # the shares are equal until they are counted
    torch.testing.assert_close(terms["batch"], torch.zeros(64), rtol=0, atol=1e-6)


def test_reconstruction_decides_when_to_stop(model, data):
    history = fit(model, data, FitOptions(max_epochs=4), progress=False)
    watched = history.table.query("split == 'validation' and term == 'autoencoder/reconstruction'")["value"].to_numpy()
    assert history.best_epoch == watched.argmin()
