"""Reconstruction is scored on one scale for all models, overall and per label."""

import numpy as np
import pytest
import scanpy as sc
import torch
from scipy.stats import poisson
from sklearn.metrics import r2_score

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models import build
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks import reconstruct as module
from cellwright.tasks.reconstruct import score_reconstruction
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=150, n_vars=40, label_shares=(0.6, 0.4)), seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, label_key="label")


@pytest.fixture(scope="module")
def model(data):
    made = PCA(data.schema, PCAOptions(n_latent=5, scale=False))
    fit(made, data, progress=False)
    return made


ROWS = np.arange(30, 90)


def test_r2_is_that_of_log_normalised_values_and_their_prediction(cells, data, model):
    table = score_reconstruction(model, data, ROWS, held_out=True)
    normalised = cells.copy()
    sc.pp.normalize_total(normalised, target_sum=1e4)
    sc.pp.log1p(normalised)
    mean = over_cells(lambda m: model.decode(model.encode(m), m), data, ROWS)
    library = cells.X[ROWS].toarray().sum(axis=1, keepdims=True)
    predicted = np.log1p(mean * 1e4 / library)
    expected = r2_score(normalised.X[ROWS].toarray(), predicted, multioutput="variance_weighted")
    found = table.query("metric == 'r2' and group == ''")["value"].item()
    assert found == pytest.approx(expected, abs=1e-4)
    assert table["held_out"].all()


def test_a_model_of_counts_is_asked_for_the_mean_of_the_logarithm_not_the_logarithm_of_the_mean():
    """With the planted means as the model, the expected logarithm explains more than the logarithm of the mean."""
    truth = simulate(SimulateOptions(n_obs=200, n_vars=50, library_mean=200), seed=0)
    data = open_data(truth.adata)
    model = build("vae", data.schema, likelihood="poisson")
    minibatch = next(iter(in_order(data)))
    head = model.decoder.head
    with torch.no_grad():
        latent = model.encode(minibatch)
        mean = head.mean(model.decoder(latent, minibatch), minibatch.library).numpy()
        found = model.expected_log(latent, minibatch).numpy()
    library = minibatch.library.numpy()
    counts = np.arange(200)[:, None, None]
    exact = (poisson.pmf(counts, mean[None]) * np.log1p(counts * 1e4 / library[None])).sum(axis=0)
    square = (poisson.pmf(counts, mean[None]) * np.log1p(counts * 1e4 / library[None]) ** 2).sum(axis=0)
    spread = np.sqrt(square - exact**2)
    # 10,000 means of 32 draws each
    assert np.abs(found - exact).max() < 6 * (spread / np.sqrt(32)).max()
    assert abs((found - exact).mean()) < 5 * spread.mean() / np.sqrt(32 * exact.size)
    assert (np.log1p(mean * 1e4 / library) >= exact - 1e-6).all()


def test_each_label_has_its_own_row(cells, data, model):
    table = score_reconstruction(model, data, ROWS, held_out=True)
    labels = set(cells.obs["label"].astype(str))
    assert table.groupby("metric")["group"].agg(set).to_dict() == {"r2": {"", *labels}, "nll": {"", *labels}}


def test_the_overall_nll_is_the_mean_of_the_labels_weighted_by_their_cells(cells, data, model):
    table = score_reconstruction(model, data, ROWS, held_out=True).query("metric == 'nll'").set_index("group")["value"]
    sizes = cells.obs["label"].iloc[ROWS].astype(str).value_counts()
    assert table[""] == pytest.approx(sum(table[name] * n for name, n in sizes.items()) / len(ROWS), rel=1e-4)


def test_many_cells_are_sampled_with_the_seed(data, model, monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_CELLS", 20)
    first, again, other = (score_reconstruction(model, data, ROWS, held_out=True, seed=seed) for seed in (0, 0, 1))
    assert first["value"].tolist() == again["value"].tolist()
    assert first["value"].tolist() != other["value"].tolist()
