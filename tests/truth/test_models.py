"""Known answers that a trained model must find; slow."""

import numpy as np
import pytest
from anndata import AnnData
from scipy.linalg import subspace_angles
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow


def test_a_linear_autoencoder_spans_the_subspace_of_pca():
    """[Baldi89]: the minimum of the squared error of a linear autoencoder is the span of the leading components."""
    rng = np.random.default_rng(0)
    scales = np.array([5.0, 4.0, 3.0, *[0.5] * 17])
    values = rng.normal(size=(1000, 20)) * scales @ np.linalg.qr(rng.normal(size=(20, 20)))[0]
    data = open_data(AnnData(values.astype(np.float32)))
    model = build("linear_ae", data.schema, n_latent=3, transform="none", learning_rate=3e-3)
    fit(model, data, FitOptions(max_epochs=200, validation=0), progress=False)
    weights = dict(model.decoder.head.named_parameters())
    loadings = next(value for value in weights.values() if value.ndim == 2).detach().numpy()  # (n_vars, n_latent)
    components = SklearnPCA(3).fit(values).components_.T
    # one degree; random 3-dimensional subspaces of 20 dimensions are about 80 degrees apart
    assert np.degrees(subspace_angles(loadings, components).max()) < 1


def canonical_correlations(latent, truth):
    """Of all dimensions of the truth, largest first."""
    n = truth.shape[1]
    a, b = CCA(n, max_iter=2000).fit_transform(latent, truth)
    return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(n)])


@pytest.fixture(scope="module")
def planted():
    return simulate(
        SimulateOptions(n_obs=3000, n_vars=400, n_latent=4, n_batch=2, label_shares=(0.6, 0.3, 0.1)), seed=1
    )


def latent_of(name, adata, **keys):
    data = open_data(adata, **keys)
    model = build(name, data.schema)
    fit(model, data, FitOptions(seed=0), progress=False)
    return reduce(model, data).obsm[f"X_{name}"]


def test_the_vae_recovers_a_planted_latent(planted):
    found = latent_of("vae", planted.adata, batch_key="batch")
    assert canonical_correlations(found, planted.latent).min() > 0.9


def batch_accuracy(latent, batch):
    """Balanced accuracy of a linear classifier of the batch; 0.5 is chance."""
    model = LogisticRegression(max_iter=1000)
    return cross_val_score(model, latent, batch, cv=5, scoring="balanced_accuracy").mean()


def test_the_vae_removes_a_planted_batch_shift(planted):
    batch = planted.adata.obs["batch"].to_numpy()
    told, untold = latent_of("vae", planted.adata, batch_key="batch"), latent_of("vae", planted.adata)
    assert batch_accuracy(untold, batch) > 0.9
    # the planted batches are independent of the planted latent, so that chance is what is left when they are removed
    assert batch_accuracy(told, batch) < 0.6


@pytest.mark.parametrize("likelihood", ["poisson", "zinb"])
def test_the_vae_recovers_a_planted_latent_with_other_count_likelihoods(planted, likelihood):
    data = open_data(planted.adata, batch_key="batch")
    model = build("vae", data.schema, likelihood=likelihood)
    fit(model, data, FitOptions(seed=0), progress=False)
    assert canonical_correlations(reduce(model, data).obsm["X_vae"], planted.latent).min() > 0.85


def test_nb_recovers_theta():
    """A VAE with a latent of the planted size finds the planted inverse dispersions.

    A larger one takes up a part of the counts' noise as well: with ten dimensions the correlation is .81.
    """
    truth = simulate(SimulateOptions(n_obs=4000, n_vars=60, n_latent=2, library_mean=20_000), seed=0)
    data = open_data(truth.adata)
    model = build("vae", data.schema, n_hidden=64, n_latent=2)
    fit(model, data, FitOptions(seed=0, max_epochs=150, patience=150), progress=False)
    found = model.decoder.head.log_theta.exp().detach().numpy()
    expressed = truth.adata.X.toarray().mean(axis=0) > 20  # theta leaves no trace where counts are few
    assert expressed.sum() > 20
    assert np.corrcoef(np.log(found[expressed]), np.log(truth.theta[expressed]))[0, 1] > 0.9


def test_validation_chooses_weights_that_are_better_on_new_cells(planted):
    """Early stopping at work: the kept weights are not worse on held-out cells than those of the last epoch."""
    data = open_data(planted.adata)
    split = random_split(data.n_obs, validation=0.2, test=0.0, seed=0)
    model = build("ae", data.schema, n_hidden=512, n_latent=32)
    history = fit(model, data, FitOptions(max_epochs=120, patience=120), split=split, progress=False)
    curve = history.table.query("split == 'validation' and term == 'loss'")["value"].to_numpy()
    assert history.best_epoch == curve.argmin()
    assert history.best_epoch < 119
