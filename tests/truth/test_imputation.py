"""Imputation on cells whose rates are planted: what is filled in is nearer to the truth, and nothing is invented."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.prepare import OpenOptions
from cellwright.study.recover import recover
from cellwright.study.recover_plan import RecoverOptions
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

MODELS = ("vae", "ae:likelihood=negative_binomial", "vgae", "diffusion")


@pytest.fixture(scope="module")
def planted():
    """Cells on a plane of shares, each gene of each cell with a rate of its own around them (theta 3)."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(900, 2)) + 2 * np.array([[1, 0], [-1, 1], [0, -1]])[np.arange(900) % 3]
    logits = z @ rng.normal(size=(2, 200)) * 0.7 + rng.normal(size=200)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rates = 600 * shares * rng.gamma(3, 1 / 3, shares.shape)
    obs = pd.DataFrame({"label": np.array(list("abc"))[np.arange(900) % 3]}, index=[f"c{i}" for i in range(900)])
    return AnnData(rng.poisson(rates).astype(np.float32), obs=obs), rates


@pytest.fixture(scope="module")
def table(planted, tmp_path_factory):
    options = RecoverOptions(models=MODELS, seeds=1, exams=("molecules", "permuted", "halves"))
    out = tmp_path_factory.mktemp("studies") / "study"
    found = recover(planted[0], options, out=out, keys=OpenOptions(label_key="label"), fit_options=FitOptions())
    return found.recommendation.set_index("model")


@pytest.mark.parametrize("name", ["vae", "ae", "vgae", "diffusion"])
def test_networks_expect_hidden_molecules_better_than_baselines_that_know_less(table, name):
    weaker = ("as_measured", "gene_mean", "svd", "knn_smoothing", "magic")
    assert (table.loc[name, "deviance"] < table.loc[list(weaker), "deviance"]).all()


def test_the_order_of_baselines_is_that_of_what_they_know(table):
    deviance = table["deviance"]
    assert deviance["knn_gamma"] < deviance["knn_smoothing"] < min(deviance["gene_mean"], deviance["as_measured"])


@pytest.mark.parametrize("name", ["vae", "vgae", "diffusion", "knn_gamma"])
def test_draws_invent_neither_correlations_nor_markers(table, name):
    assert table.loc[name, "false_correlation_drawn"] < 0.05
    assert table.loc[name, "false_markers_drawn"] < 0.05
    assert table.loc[name, "draws_are_harmless"]


def test_means_of_smoothed_cells_seem_surer_than_cells_are(table):
    assert table.loc["gene_mean", "false_markers"] > 0.9
    assert table.loc["as_measured", "false_markers"] < 0.05
