"""The graph autoencoder's loss terms are what the formulas say; attention is about neighbours."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import OptionError
from cellwright.models import build
from cellwright.models.gnn import edge_loss


@pytest.fixture(scope="module")
def data():
    return open_data(simulate(SimulateOptions(n_obs=120, n_vars=40, n_batch=2), seed=0).adata, batch_key="batch")


@pytest.fixture(scope="module")
def minibatch(data):
    return next(in_order(data, np.arange(32)))


def prepared(name, data, **options):
    torch.manual_seed(0)
    model = build(name, data.schema, **{"n_latent": 3, "n_hidden": 16, "n_components": 10, **options})
    model.prepare(0, data, np.arange(100), np.random.default_rng(0))
    return model.eval()


def softplus(x):
    return np.log1p(np.exp(x))


def test_edge_loss_by_hand():
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    partners = torch.tensor([[0.5, 0.5], [-1.0, 1.0], [2.0, 0.0]])
    # the partner of the third, 6, is a neighbour of the first too: no negative example for it
    neighbours = torch.tensor([[4, 6], [5, 7], [6, 8]])
    found = edge_loss(z, partners, torch.tensor([4, 5, 6]), neighbours)
    expected = [
        softplus(-0.5) + softplus(-1.0),
        softplus(-2.0) + (softplus(1.0) + softplus(0.0)) / 2,
        softplus(-2.0) + (softplus(1.0) + softplus(0.0)) / 2,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_cell_without_neighbours_has_no_edge_and_is_no_negative_example():
    z, partners = torch.ones(2, 1), torch.tensor([[3.0], [0.0]])
    neighbours = torch.tensor([[4], [-1]])
    found = edge_loss(z, partners, torch.tensor([4, -1]), neighbours)
    np.testing.assert_allclose(found, [softplus(-3.0), softplus(3.0)], rtol=1e-6)


def test_the_loss_is_the_sum_of_its_weighted_terms(data, minibatch):
    model = prepared("vgae", data, edge_weight=2.5, beta=0.5)
    loss = model.reconstruction(minibatch, Step(0, NoiseKey(0)))
    terms = loss.terms
    assert set(terms) == {"reconstruction", "edges", "kl"}
    torch.testing.assert_close(loss.per_cell, terms["reconstruction"] + 2.5 * terms["edges"] + 0.5 * terms["kl"])


def test_the_kl_term_is_that_of_torch_and_the_latent_the_posteriors_mean(data, minibatch):
    model = prepared("vgae", data)
    with torch.no_grad():
        parameters = model.encoder(model.encoder.inputs(minibatch), minibatch)
        mean, log_variance = parameters.chunk(2, dim=1)
        q = Normal(mean, (log_variance.exp() + 1e-4).sqrt())
        found = model.reconstruction(minibatch, Step.evaluation(0)).terms["kl"]
        torch.testing.assert_close(found, kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1))
        assert torch.equal(model.encode(minibatch), mean)


def test_features_only_is_minus_log_p_of_the_latent(data, minibatch):
    model = prepared("gae", data, edge_weight=0)
    with torch.no_grad():
        loss = model.reconstruction(minibatch, Step.evaluation(0))
        expected = -model.log_prob(model.encode(minibatch), minibatch)
    assert set(loss.terms) == {"reconstruction"}
    torch.testing.assert_close(loss.per_cell, expected)


def test_edges_are_drawn_anew_in_every_step_and_are_the_same_under_its_key(data, minibatch):
    model = prepared("gae", data)
    with torch.no_grad():
        first, again, other = (
            model.reconstruction(minibatch, Step(0, NoiseKey(seed))).terms["edges"] for seed in (0, 0, 1)
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("number", "which"), [(2.0**-25, 0), (1 - 2.0**-24, -1), (1.0, -1)])
def test_every_neighbour_can_be_drawn_and_nothing_beyond_the_last(data, minibatch, monkeypatch, number, which):
    """Noise in float32 is one itself in one case of 2^24: once in some forty fits."""
    model = prepared("gae", data)
    cells = model.encoder.nodes(model.encoder.inputs(minibatch), minibatch)
    monkeypatch.setattr(NoiseKey, "uniform", lambda self, rows, width, stream: torch.full((len(rows), width), number))
    partners = model._partners(cells, minibatch, Step.evaluation(0))
    assert torch.equal(partners, cells.neighbours[:, which])


def test_edges_pull_the_latents_of_neighbours_together(data, minibatch):
    """One step against the edges alone lowers their loss: its gradient reaches both ends."""
    model = prepared("gae", data)
    weights = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    before = model.reconstruction(minibatch, Step.evaluation(0)).terms["edges"].mean()
    gradients = torch.autograd.grad(before, weights, allow_unused=True)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight -= 1e-3 * gradient
        after = model.reconstruction(minibatch, Step.evaluation(0)).terms["edges"].mean()
    assert after < before


def test_attention_is_about_the_neighbours_of_each_cell(data, minibatch):
    model = prepared("gae", data, convolution="gat", n_neighbors=7)
    with torch.no_grad():
        attention = model.attend(minibatch)
    assert attention.weights.shape == attention.neighbours.shape == (32, 7)
    torch.testing.assert_close(attention.weights.sum(dim=1), torch.ones(32))
    assert attention.label.shape == attention.batch.shape == (100,)
    assert attention.itself.tolist() == list(range(32))
    nodes = model.encoder.nodes(model.encoder.inputs(minibatch), minibatch)
    assert torch.equal(attention.neighbours, nodes.neighbours)


@pytest.mark.parametrize("convolution", ["gcn", "sage"])
def test_attention_of_a_convolution_without_it_is_refused(data, minibatch, convolution):
    with pytest.raises(OptionError, match=f"convolution='gat'; this one has '{convolution}'.*Fit one with"):
        prepared("gae", data, convolution=convolution).attend(minibatch)
