"""Known answers of the adversarial models; slow."""

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from cellwright.core.abilities import Wanted
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models import build
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow


def log_normalised(counts):
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def mixture():
    """Labels that a classifier tells apart in real cells (.98), or it could not judge generated ones."""
    return simulate(
        SimulateOptions(n_obs=2000, n_vars=100, n_latent=4, label_shares=(0.6, 0.3, 0.1), label_distance=3), seed=0
    )


@pytest.fixture(scope="module")
def told_labels(mixture):
    """A linear classifier of the planted labels, from real cells."""
    return LogisticRegression(max_iter=2000).fit(log_normalised(mixture.adata.X.toarray()), mixture.label)


def trained(adata, epochs, options=None, **keys):
    data = open_data(adata, **keys)
    model = build("gan", data.schema, n_hidden=128, **(options or {}))
    fit(model, data, FitOptions(seed=0, max_epochs=epochs, validation=0), progress=False)
    return model


def made(model, n, label=-1):
    wanted = Wanted(torch.full((n,), label), *torch.full((2, n), -1))
    return model.generate(wanted, torch.Generator().manual_seed(0)).numpy()


def correlations(counts, features):
    return np.corrcoef(log_normalised(counts)[:, features].T)[np.triu_indices(len(features), 1)]


def test_without_labels_the_gan_recovers_proportions_and_correlations(mixture, told_labels):
    """It is told of no label: both have to come out of the noise.

    From the mean of all cells it has further to go than from a label's: at the default rates the rarest label, a tenth
    of the cells, is not there yet after as many epochs.
    """
    real = mixture.adata.X.toarray()
    faster = {"learning_rate": 5e-4, "critic_learning_rate": 2e-3}
    generated = made(trained(mixture.adata, 150, faster), 2000)
    shares = np.bincount(told_labels.predict(log_normalised(generated)), minlength=3) / 2000
    assert np.abs(shares - np.bincount(mixture.label) / 2000).max() < 0.1
    features = np.argsort(-log_normalised(real).var(axis=0))[:30]
    assert np.corrcoef(correlations(generated, features), correlations(real, features))[0, 1] > 0.9


def test_with_labels_the_gan_gives_the_label_that_is_asked_for(mixture, told_labels):
    model = trained(mixture.adata, 40, label_key="label")
    sure = told_labels.score(log_normalised(mixture.adata.X.toarray()), mixture.label)
    for label in range(3):
        # the last is the rarest, 200 cells
        found = told_labels.predict(log_normalised(made(model, 300, label)))
        assert (found == label).mean() > sure - 0.05


@pytest.fixture(scope="module")
def batches():
    return simulate(
        SimulateOptions(n_obs=3000, n_vars=400, n_latent=4, n_batch=2, label_shares=(0.6, 0.3, 0.1)), seed=1
    )


def latent(adata, **options):
    data = open_data(adata, batch_key="batch")
    model = build("aae", data.schema, **options)
    fit(model, data, FitOptions(seed=0), progress=False)
    return reduce(model, data).obsm["X_aae"]


def test_the_batch_critic_removes_a_planted_batch_which_stays_without_it(batches):
    batch = batches.adata.obs["batch"].to_numpy()
    with_critic, without = latent(batches.adata), latent(batches.adata, batch_weight=0.0)
    accuracy = [
        cross_val_score(LogisticRegression(max_iter=1000), z, batch, cv=5, scoring="balanced_accuracy").mean()
        for z in (with_critic, without)
    ]
    assert accuracy[0] < 0.6  # 0.5 is chance
    assert accuracy[1] > 0.9
    a, b = CCA(4, max_iter=2000).fit_transform(with_critic, batches.latent)
    # what the cells are is still there
    assert min(np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(4)) > 0.9
