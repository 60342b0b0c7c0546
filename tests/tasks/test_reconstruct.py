"""Reconstruction is scored on one scale for all models, overall and per label."""

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from sklearn.metrics import r2_score

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
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
    predicted = AnnData(mean.astype(np.float32))
    sc.pp.normalize_total(predicted, target_sum=1e4)
    sc.pp.log1p(predicted)
    expected = r2_score(normalised.X[ROWS].toarray(), predicted.X, multioutput="variance_weighted")
    found = table.query("metric == 'r2' and group == ''")["value"].item()
    assert found == pytest.approx(expected, abs=1e-4)
    assert table["held_out"].all()


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
