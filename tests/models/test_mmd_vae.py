"""The VAE with a penalty between batches is the VAE, and one term more where there are several batches."""

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.losses.mmd import mmd_between_groups
from cellwright.models.mmd_vae import MMDVAE, MMDVAEOptions

STEP = Step(0, NoiseKey(0))


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=120, n_vars=30, n_batch=3), seed=0).adata


@pytest.fixture
def model(cells):
    torch.manual_seed(0)
    return MMDVAE(open_data(cells, batch_key="batch").schema, MMDVAEOptions(n_latent=3, n_hidden=16)).eval()


@pytest.fixture
def minibatch(cells):
    return next(iter(in_order(open_data(cells, batch_key="batch"), np.arange(64))))


def test_the_loss_is_the_negative_elbo_and_the_discrepancy_of_the_posterior_means(model, minibatch):
    terms = model.penalised(minibatch, STEP).terms
    elbo = model.vae.negative_elbo(minibatch, STEP).terms
    for name, term in elbo.items():
        torch.testing.assert_close(terms[name], term)
    torch.testing.assert_close(terms["batch"], mmd_between_groups(model.encode(minibatch), minibatch.batch))
    assert terms.keys() == {*elbo, "batch"}


def test_the_penalty_teaches_the_encoder_only(model, minibatch):
    model.penalised(minibatch, STEP).terms["batch"].mean().backward()
    taught = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"encoder"}


def test_a_single_batch_has_no_penalty(cells):
    data = open_data(cells)
    model = MMDVAE(data.schema)
    minibatch = next(iter(in_order(data, np.arange(16))))
    assert set(model.penalised(minibatch, STEP).terms) == {"reconstruction", "kl"}
