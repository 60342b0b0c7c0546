"""The semi-supervised VAE: its terms are those of the paper, and cells without a label train it too."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.models.semi_vae import SemiVAE, SemiVAEOptions
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

STEP = Step(0, NoiseKey(0))
SMALL = SemiVAEOptions(n_latent=3, n_hidden=16)


@pytest.fixture(scope="module")
def cells():
    """A third of the cells has no label."""
    options = SimulateOptions(n_obs=400, n_vars=40, n_batch=2, label_shares=(0.5, 0.3, 0.2), label_distance=4)
    adata = simulate(options, seed=0).adata
    adata.obs["partial"] = adata.obs["label"].astype(object).where(np.arange(400) % 3 > 0, None)
    return adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch", label_key="partial")


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    model = SemiVAE(data.schema, SMALL).eval()
    model.prepare(0, data, np.arange(400), np.random.default_rng(0))
    torch.nn.init.normal_(model.log_variance, std=0.3)
    return model


@pytest.fixture
def minibatch(data):
    return next(iter(in_order(data, np.arange(64))))


def divergences(model, minibatch):
    q = model.posterior(minibatch)
    cells = Independent(Normal(q.mean[:, None], q.variance.sqrt()[:, None]), 1)
    labels = Independent(Normal(model.place, torch.exp(model.log_variance / 2)), 1)
    return kl_divergence(cells, labels)


def test_a_labelled_cell_pays_the_divergence_from_its_label_and_how_rare_that_is(model, minibatch):
    cost = divergences(model, minibatch) - model.label_shares.log()
    known = minibatch.label >= 0
    term = model.negative_elbo(minibatch, STEP).terms["kl"]
    torch.testing.assert_close(term[known], cost[known].gather(1, minibatch.label[known, None])[:, 0])


def test_an_unlabelled_cell_pays_the_bound_at_its_best_labels(model, minibatch):
    cost = divergences(model, minibatch) - model.label_shares.log()
    unknown = minibatch.label < 0
    q = torch.softmax(-cost, dim=1)
    expected = (q * (cost + q.log())).sum(dim=1)  # E_q of the cost, minus the entropy of q
    terms = model.negative_elbo(minibatch, STEP).terms
    torch.testing.assert_close(terms["kl"][unknown], expected[unknown])
    assert not terms["label"][unknown].any()
    assert (terms["label"][~unknown] > 0).all()


def test_what_it_says_of_a_cell_is_that_best_answer(model, minibatch):
    cost = divergences(model, minibatch) - model.label_shares.log()
    torch.testing.assert_close(model.classify(minibatch), torch.softmax(-cost, dim=1))


def test_shares_are_those_of_labelled_training_cells_and_a_label_without_them_is_never_said(data, minibatch):
    model = SemiVAE(data.schema, SMALL).eval()
    rows = np.flatnonzero(data.annotation.label != 2)
    model.prepare(0, data, rows, np.random.default_rng(0))
    counts = np.bincount(data.annotation.label[rows][data.annotation.label[rows] >= 0], minlength=3)
    np.testing.assert_allclose(model.label_shares, counts / counts.sum(), rtol=1e-6)
    assert not model.classify(minibatch)[:, 2].any()
    loss = model.negative_elbo(minibatch, STEP)
    loss.per_cell.mean().backward()
    assert torch.isfinite(loss.per_cell).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_cells_without_a_label_are_named_as_their_kind(cells, data):
    torch.manual_seed(0)
    model = SemiVAE(data.schema, SMALL.model_copy(update={"learning_rate": 5e-3}))
    fit(model, data, FitOptions(max_epochs=40, batch_size=64, validation=0), progress=False)
    model.eval()
    unknown = np.flatnonzero(data.annotation.label < 0)
    minibatch = next(iter(in_order(data, unknown, len(unknown))))
    names = np.array(data.schema.label.values)[model.classify(minibatch).argmax(dim=1)]
    assert (names == cells.obs["label"].to_numpy()[unknown]).mean() > 0.9  # half would be right by naming the largest


def test_one_label_is_refused(data):
    model = SemiVAE(data.schema, SMALL)
    with pytest.raises(DataError, match="two labels"):
        model.prepare(0, data, np.flatnonzero(data.annotation.label == 0), np.random.default_rng(0))
    assert math.isclose(float(model.label_shares.sum()), 1, rel_tol=1e-6)
