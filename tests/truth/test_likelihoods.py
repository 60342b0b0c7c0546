"""Known answers that a likelihood must find inside a model; slow."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.stats import nbinom
from sklearn.metrics import roc_auc_score

from cellwright.core.minibatch import Minibatch
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

N_OBS, N_VARS, N_TYPES = 2_000, 24, 4


class Proteins(NamedTuple):
    adata: AnnData
    is_foreground: np.ndarray  # (n_obs, n_vars)
    log_background: np.ndarray  # (n_vars,), of a cell of mean depth
    log_theta: np.ndarray  # (n_vars,)
    depth: np.ndarray  # (n_obs,), of its logarithm
    odds: np.ndarray  # (n_obs, n_vars), logarithms of those of the foreground, if all but the answer is known


@pytest.fixture(scope="module")
def proteins():
    """Each protein is had by one or two of four types, but for a tenth of the cells of each, chosen by nothing."""
    rng = np.random.default_rng(0)
    types = rng.permuted(np.tile(np.arange(N_TYPES)[:, None], N_VARS), axis=0)  # in the order in which they have it
    has = types < rng.integers(1, 3, N_VARS)
    kind, depth = rng.integers(N_TYPES, size=N_OBS), rng.normal(0, 0.3, N_OBS)
    is_foreground = has[kind] ^ (rng.random((N_OBS, N_VARS)) < 0.1)
    log_background, rise = rng.normal(1.5, 0.8, N_VARS), rng.uniform(1.5, 3.5, N_VARS)
    theta = np.exp(rng.uniform(1, 2, N_VARS))
    background = np.exp(log_background + depth[:, None])
    means = background, background * (1 + np.exp(rise))
    counts = rng.poisson(rng.gamma(theta, np.where(is_foreground, means[1], means[0]) / theta))
    logs = [nbinom.logpmf(counts, theta, theta / (theta + mean)) for mean in means]
    odds = np.where(has[kind], np.log(9), -np.log(9)) + logs[1] - logs[0]
    return Proteins(AnnData(counts.astype(np.float32)), is_foreground, log_background, np.log(theta), depth, odds)


@pytest.fixture(scope="module")
def model(proteins):
    data = open_data(proteins.adata)
    model = build("vae", data.schema, likelihood="nb_background", n_latent=4)
    fit(model, data, FitOptions(seed=0), progress=False)
    return model.eval()


@pytest.fixture(scope="module")
def found(proteins, model):
    """log background and the probability of the foreground (2, n_obs, n_vars), as a small VAE finds them."""

    @torch.no_grad()
    def answers(cells: Minibatch) -> torch.Tensor:
        head, h = model.decoder.head, model.decoder(model.encode(cells), cells)
        return torch.stack([head.log_background(h), head.foreground_given(h, cells.x, cells.library)])

    cells = in_order(open_data(proteins.adata), np.arange(N_OBS), 500)
    return torch.cat([answers(minibatch) for minibatch in cells], dim=1).numpy()


def test_the_vae_recovers_planted_backgrounds_of_proteins(proteins, found):
    levels = found[0].mean(axis=0)
    assert np.corrcoef(levels, proteins.log_background)[0, 1] > 0.99
    assert np.abs(levels - proteins.log_background).max() < 0.3
    assert np.corrcoef(found[0].mean(axis=1), proteins.depth)[0, 1] > 0.7


def test_the_vae_recovers_which_cells_have_a_protein(proteins, found):
    """Nearly as well as with everything planted but the answer, and better than by the counts themselves."""
    found_auc, known_auc, counts_auc = (
        roc_auc_score(proteins.is_foreground.ravel(), values.ravel())
        for values in (found[1], proteins.odds, proteins.adata.X)
    )
    assert counts_auc < found_auc - 0.01
    assert found_auc > known_auc - 0.01
    found_right, known_right = ((p == proteins.is_foreground).mean() for p in (found[1] > 0.5, proteins.odds > 0))
    assert found_right > known_right - 0.01


def test_the_vae_recovers_planted_theta_of_proteins(proteins, model):
    log_theta = model.decoder.head.log_theta.detach().numpy()
    assert np.corrcoef(log_theta, proteins.log_theta)[0, 1] > 0.9
