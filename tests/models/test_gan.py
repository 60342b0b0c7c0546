"""What the GAN starts from, what reaches which network, and what it makes."""

import numpy as np
import pytest
import torch

from cellwright.core.abilities import Wanted
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models.gan import GAN, GANOptions

STEP = Step(0, NoiseKey(0))


@pytest.fixture(scope="module")
def truth():
    return simulate(SimulateOptions(n_obs=600, n_vars=50, label_shares=(0.7, 0.28, 0.02), n_batch=2), seed=0)


@pytest.fixture(scope="module")
def data(truth):
    return open_data(truth.adata, label_key="label", batch_key="batch")


def prepared(data, **options):
    torch.manual_seed(0)
    model = GAN(data.schema, GANOptions(n_hidden=16, **options))
    rows = np.arange(data.n_obs)
    model.prepare(0, data, rows, np.random.default_rng(0))
    model.learn(data, rows, np.random.default_rng(0))
    return model.eval()


def wanted(n, label=-1, batch=-1, condition=-1):
    return Wanted(torch.full((n,), label), torch.full((n,), batch), torch.full((n,), condition))


def test_it_starts_from_the_shares_of_each_label_and_of_all_cells(data, truth):
    counts = truth.adata.X.toarray()
    shares = prepared(data).mean.exp().numpy()
    overall = counts.sum(axis=0) / counts.sum()
    np.testing.assert_allclose(shares[-1], overall, rtol=1e-3, atol=1e-6)
    cells = counts[truth.label == 2]
    library = counts.sum() / len(counts)
    expected = (cells.sum(axis=0) + library * overall) / (cells.sum() + library)
    np.testing.assert_allclose(shares[2], expected, rtol=1e-3, atol=1e-6)


def test_with_conditions_it_starts_from_the_shares_of_each_label_under_each(truth):
    adata = truth.adata.copy()
    adata.obs["dose"] = np.where(np.arange(600) % 3, "low", "high")
    data = open_data(adata, label_key="label", condition_key="dose")
    model = prepared(data)
    counts = adata.X.toarray()
    library, overall = counts.sum() / 600, counts.sum(axis=0) / counts.sum()
    for condition, fits in ((0, np.arange(600) % 3 == 0), (1, np.arange(600) % 3 > 0)):
        cells = counts[fits & (truth.label == 1)]
        expected = (cells.sum(axis=0) + library * overall) / (cells.sum() + library)
        cell = next(iter(in_order(data, np.flatnonzero(fits & (truth.label == 1))[:1])))
        np.testing.assert_allclose(model._mean(cell)[0].exp(), expected, rtol=1e-3, atol=1e-6)
        told = model._told(cell, cell.library)[0]
        assert told[3:5].tolist() == [float(condition == 0), float(condition == 1)]


def test_a_rare_label_can_be_asked_for_more_often_than_it_was_seen(data, truth):
    model = prepared(data)
    assert model.population.label_counts.tolist() == np.bincount(truth.label).tolist()
    x = model.generate(wanted(100, label=2), torch.Generator().manual_seed(0))
    assert x.shape == (100, 50)
    assert torch.equal(x, x.round())
    assert (x >= 0).all()
    assert (x == 0).any()
    assert len(x.unique(dim=0)) == 100


def test_an_untrained_generator_gives_the_label_that_is_asked_for(data, truth):
    """Its deviations are small at the start, so that the labels' own means are what it gives."""
    counts = truth.adata.X.toarray()
    model = prepared(data)
    for label in (0, 1):
        x = model.generate(wanted(500, label), torch.Generator().manual_seed(1)).numpy()
        found, real = x.sum(axis=0) / x.sum(), [counts[truth.label == k] for k in (0, 1)]
        off = [np.abs(found - cells.sum(axis=0) / cells.sum()).sum() for cells in real]
        assert np.argmin(off) == label


def test_libraries_are_those_of_the_cells_that_lend_them(data, truth):
    x = prepared(data).generate(wanted(600), torch.Generator().manual_seed(2)).sum(dim=1).numpy()
    real = np.asarray(truth.adata.X.sum(axis=1)).ravel()
    # each cell lends once; what the counts add to it is Poisson's, and the noise of the features
    assert abs(np.log(x).mean() - np.log(real).mean()) < 0.05


def test_the_critic_learns_from_its_loss_alone_and_the_generator_from_its_own(data):
    model = prepared(data).train()
    minibatch = next(iter(in_order(data, np.arange(64))))
    for loss, teaches, leaves in (
        (model.critic_loss, model.critic, model.generator),
        (model.generator_loss, model.generator, model.critic),
    ):
        model.zero_grad()
        loss(minibatch, STEP).per_cell.mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in teaches.parameters() if p.ndim > 1)
        assert all(p.grad is None for p in leaves.parameters())


def test_a_cell_without_a_label_is_told_none_of_them(data):
    model = prepared(data)
    minibatch = next(iter(in_order(data, np.arange(4))))
    told = model._told(minibatch, minibatch.library)
    assert told[:, :3].sum(dim=1).tolist() == [1, 1, 1, 1]
    assert told[:, 3:5].sum(dim=1).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("transform", "least"), [("none", None), ("log_normalise", 0.0)])
def test_values_are_on_the_scale_of_the_data(data, transform, least):
    model = prepared(data, output="values", transform=transform)
    x = model.generate(wanted(300), torch.Generator().manual_seed(0))
    assert torch.isfinite(x).all()
    assert not torch.equal(x, x.round())
    assert (x.min() < 0) if least is None else (x.min() == least)
