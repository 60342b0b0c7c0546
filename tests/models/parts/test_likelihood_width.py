"""The width that is learnt is the one of greatest likelihood, and nothing else of the decoder moves."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.optimize import minimize_scalar
from scipy.stats import nbinom

from cellwright.data.open import open_data
from cellwright.likelihoods.gaussian import Gaussian
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.likelihoods.poisson import Poisson
from cellwright.models.parts import likelihood_width as module
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.nn.mlp import Hidden

N, N_VARS = 1500, 6
START = torch.tensor([2.0, -2.0, 0.0, -1.0, 3.0, 1.0])


@pytest.fixture
def source():
    """Counts of six features with six dispersions."""
    rng = np.random.default_rng(0)
    theta = np.exp([-0.5, 0.0, 0.5, 1.0, 1.2, -1.0])
    return open_data(AnnData(rng.poisson(rng.gamma(theta, 8 / theta, (N, N_VARS))).astype(np.float32)))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def decoder_of(source, likelihood):
    torch.manual_seed(0)
    return FeatureDecoder(source.schema, 2, likelihood=likelihood, hidden=Hidden(4, 0), transform="none").eval()


def latent(cells):
    return torch.stack([torch.sin(cells.rows.float()), torch.cos(cells.rows.float())], dim=1)


def learnt(decoder, source, rng):
    (width,) = decoder.head.parameters(recurse=False)
    width.data.copy_(START)
    learn_width(decoder, latent, source, np.arange(N), rng)
    return width.detach().numpy()


@torch.no_grad()
def means(decoder, source):
    x = source.read("X", np.arange(N))
    rows = torch.arange(N).float()
    h = decoder.head.mean(torch.stack([rows.sin(), rows.cos()], dim=1), torch.from_numpy(x.sum(1, keepdims=True)))
    return x.astype(np.float64), h.double().numpy()


def test_theta_is_the_one_of_greatest_likelihood_by_scipy(source, rng):
    decoder = decoder_of(source, NegativeBinomial())
    x, mean = means(decoder, source)

    def worst(log_theta, at):
        theta = np.exp(log_theta)
        return -nbinom.logpmf(x[:, at], theta, theta / (theta + mean[:, at])).sum()

    best = [minimize_scalar(worst, bounds=(-4, 6), method="bounded", args=(at,)).x for at in range(N_VARS)]
    np.testing.assert_allclose(learnt(decoder, source, rng), best, atol=0.05)


@pytest.mark.parametrize("centred", [False, True])
def test_a_variance_is_the_mean_squared_residual(source, rng, centred):
    """Of values around zero, too, whose sum is no number of molecules."""
    if centred:
        spread = np.array([0.3, 0.5, 1, 2, 4, 6])
        source = open_data(AnnData((rng.normal(size=(N, N_VARS)) * spread).astype(np.float32)))
    decoder = decoder_of(source, Gaussian(variance="feature"))
    x, mean = means(decoder, source)
    best = np.log(((x - mean) ** 2).mean(axis=0))
    np.testing.assert_allclose(learnt(decoder, source, rng), best, atol=0.1)


def test_all_else_of_the_decoder_stays_as_it_was(source, rng):
    decoder = decoder_of(source, NegativeBinomial())
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    learn_width(decoder.train(), latent, source, np.arange(N), rng)
    assert decoder.training
    changed = {name for name, value in decoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.log_theta"}
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_a_likelihood_without_a_width_reads_no_cell(source, rng):
    decoder = decoder_of(source, Poisson())
    learn_width(decoder, lambda cells: pytest.fail("a cell was read"), source, np.arange(N), rng)


def test_of_many_cells_a_sample_is_read(source, rng, monkeypatch):
    monkeypatch.setattr(module, "MAX_CELLS", 20)
    read = []

    def noted(cells):
        read.append(cells.rows)
        return latent(cells)

    learn_width(decoder_of(source, NegativeBinomial()), noted, source, np.arange(100), rng)
    assert len(set(torch.cat(read).tolist())) == 20
    assert torch.cat(read).max() < 100
