"""Predicted cells are control cells as they would look treated; what they are held against comes from real cells."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.preprocess import normalise_log1p
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, OptionError
from cellwright.metrics.changed_genes import changed_genes
from cellwright.models import build
from cellwright.tasks.perturb import GENE_COLUMNS, MOST_PLACED, evaluate_perturbation, perturb, real_cells
from cellwright.tasks.score_response import score_response
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=240, n_vars=40, n_latent=3, label_shares=(0.4, 0.3, 0.3), treated_share=0.5)
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def source(cells):
    return open_data(cells, **KEYS)


def fitted(name, source, **options):
    model = build(name, source.schema, **options)
    fit(model, source, FitOptions(max_epochs=1), progress=False)
    return model


@pytest.fixture(scope="module")
def unchanged(source):
    return fitted("no_change", source)


@pytest.fixture(scope="module")
def shifted(source):
    return fitted("gene_shift", source)


def control_of(cells, *labels):
    return cells[(cells.obs["condition"] == "control") & cells.obs["label"].isin(labels)]


def test_a_prediction_has_the_control_cells_in_their_order_with_the_condition_asked_for(cells, unchanged):
    predicted = perturb(unchanged, cells, treated="treated", labels=["type_3", "type_1"], seed=3)
    controls = control_of(cells, "type_1", "type_3")
    assert predicted.obs_names.tolist() == controls.obs_names.tolist()
    assert predicted.var_names.tolist() == cells.var_names.tolist()
    assert set(predicted.obs["condition"]) == {"treated"}
    assert set(predicted.obs["predicted_from"]) == {"control"}
    assert predicted.obs["label"].tolist() == controls.obs["label"].tolist()
    assert {"model", "options", "version", "seed", "scale"} <= set(predicted.uns["cellwright"])


def test_the_prediction_of_no_change_is_the_control_cells_log_normalised(cells, unchanged):
    predicted = perturb(unchanged, cells)
    expected = normalise_log1p(control_of(cells, "type_1", "type_2", "type_3")).X.toarray()
    assert predicted.X.dtype == np.float32
    np.testing.assert_allclose(predicted.X, expected, rtol=1e-5, atol=1e-6)


def test_without_a_column_of_conditions_every_cell_is_a_control(cells, shifted):
    new = cells.copy()
    del new.obs["condition"]
    predicted = perturb(shifted, new, labels=["type_2"])
    assert predicted.n_obs == (cells.obs["label"] == "type_2").sum()
    controls = control_of(cells, "type_2").obs_names
    np.testing.assert_array_equal(predicted[controls].X, perturb(shifted, cells, labels=["type_2"]).X)


def test_the_input_is_not_changed(cells, shifted):
    before = cells.copy()
    perturb(shifted, cells)
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert (cells.X != before.X).nnz == 0
    assert not cells.uns


def test_the_same_seed_gives_the_same_cells(cells, source):
    model = fitted("scgen", source, n_latent=2, n_hidden=8)
    np.testing.assert_array_equal(perturb(model, cells, seed=1).X, perturb(model, cells, seed=1).X)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"treated": "treatet"}, OptionError, "must be a value of 'condition' beside the control 'control': treated; "),
        ({"treated": "control"}, OptionError, "another value of 'condition' than the control; both are 'control'"),
        ({"labels": ["type_9"]}, OptionError, "labels must be values of 'label': type_1, type_2, type_3; 'type_9'"),
        ({"labels": []}, DataError, "predicted from control cells .* of 240 cells none is one"),
    ],
    ids=["no condition", "control", "no label", "no labels"],
)
def test_what_does_not_exist_is_refused(cells, unchanged, arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        perturb(unchanged, cells, **arguments)


def test_a_label_without_control_cells_is_refused(cells, unchanged):
    new = cells[~((cells.obs["label"] == "type_2") & (cells.obs["condition"] == "control"))].copy()
    with pytest.raises(DataError, match="the data have none of 'type_2'"):
        perturb(unchanged, new, labels=["type_2"])


def test_several_treatments_are_listed_where_none_is_named(cells):
    several = cells.copy()
    several.obs["condition"] = several.obs["condition"].astype(str)
    several.obs.iloc[::5, several.obs.columns.get_loc("condition")] = "other"
    source = open_data(several, **KEYS)
    model = fitted("no_change", source)
    with pytest.raises(OptionError, match=r"which value of 'condition' .* there are other, treated"):
        perturb(model, several)
    assert set(perturb(model, several, treated="other").obs["condition"]) == {"other"}


def test_a_model_that_cannot_and_one_that_was_not_fitted_are_refused(cells, source):
    with pytest.raises(AbilityError, match=r"pca cannot do `perturb`.* scgen"):
        perturb(build("pca", source.schema, n_latent=2), cells)
    with pytest.raises(DataError, match="was not trained"):
        perturb(build("no_change", source.schema), cells)


def test_values_that_residual_clipping_would_cut_are_refused_in_fit(cells):
    scaled = AnnData(cells.X.toarray() - 1.0, obs=cells.obs)
    source = open_data(scaled, **KEYS)
    model = build("scgen", source.schema, n_latent=2, n_hidden=8, transform="none", decoding="residual")
    with pytest.raises(DataError, match="numbers that are not negative"):
        fit(model, source, FitOptions(max_epochs=1), progress=False)


def test_real_treated_cells_in_place_of_predicted_ones_have_the_best_score(source):
    real = real_cells(source, "type_1", treated="treated", scale="log_normalise")
    n = len(real.reference.x_treated)
    obs = pd.DataFrame({"label": ["type_1"] * n}, index=[str(i) for i in range(n)])
    predicted = AnnData(real.reference.x_treated, obs=obs, var=pd.DataFrame(index=list(source.schema.var_names)))
    evaluated = evaluate_perturbation(predicted, real, label_key="label", seed=2)
    scores = evaluated.scores.set_index("metric")["value"]
    assert scores["mean_r2"] == pytest.approx(1)
    assert scores["change_pearson"] == pytest.approx(1)
    pd.testing.assert_frame_equal(
        evaluated.scores, score_response(real.reference, real.reference.x_treated, group="type_1", seed=2)
    )
    genes = evaluated.genes
    np.testing.assert_allclose(genes["predicted_mean"], genes["treated_mean"])
    np.testing.assert_allclose(genes["variance_predicted"], genes["variance_treated"])


def test_genes_are_described_by_the_real_cells_whatever_is_predicted(cells, source, unchanged, shifted):
    real = real_cells(source, "type_2", treated="treated", scale="log_normalise")
    tables = [
        evaluate_perturbation(perturb(model, cells), real, label_key="label").genes for model in (unchanged, shifted)
    ]
    of_real = ["group", "gene", "control_mean", "treated_mean", "change", "rank", "fdr", "variance_treated"]
    pd.testing.assert_frame_equal(tables[0][of_real], tables[1][of_real])
    assert not np.allclose(tables[0]["predicted_mean"], tables[1]["predicted_mean"])
    table, log = tables[0], normalise_log1p(cells)
    assert table.columns.tolist() == GENE_COLUMNS
    treated, control = (
        log[(cells.obs["label"] == "type_2") & (cells.obs["condition"] == side)].X.toarray()
        for side in ("treated", "control")
    )
    np.testing.assert_allclose(table["treated_mean"], treated.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table["change"], treated.mean(axis=0) - control.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["variance_treated"], treated.var(axis=0, ddof=1), rtol=1e-4, atol=1e-6)
    fdr = changed_genes(control, treated)["fdr"].to_numpy()
    np.testing.assert_allclose(table["fdr"], fdr, rtol=1e-3)
    assert sorted(table["rank"]) == list(range(1, 41))
    sure = table[fdr < 0.05]
    assert sure.sort_values("rank")["change"].abs().is_monotonic_decreasing
    assert sure["rank"].max() == len(sure)


def test_cells_are_placed_in_the_plane_of_the_real_ones_whatever_is_predicted(cells, source, unchanged, shifted):
    real = real_cells(source, "type_2", treated="treated", scale="log_normalise")
    tables = [
        evaluate_perturbation(perturb(model, cells), real, label_key="label").places for model in (unchanged, shifted)
    ]
    of_real = [table[table["kind"] != "predicted"] for table in tables]
    pd.testing.assert_frame_equal(*of_real)
    x = np.concatenate([real.reference.x_control, real.reference.x_treated]).astype(np.float64)
    left, singular, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * singular[:2]
    found = of_real[0][["x", "y"]].to_numpy()
    np.testing.assert_allclose(found, expected * np.sign(found[0] * expected[0]), atol=2e-4)
    shares = singular[:2] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(tables[0][["share_x", "share_y"]].iloc[0], shares, rtol=1e-4)
    no_change = [tables[0].loc[tables[0]["kind"] == kind, ["x", "y"]].to_numpy() for kind in ("control", "predicted")]
    np.testing.assert_allclose(*no_change, atol=2e-4)


def test_of_many_cells_some_of_each_kind_are_placed(monkeypatch, cells, source, unchanged):
    monkeypatch.setattr("cellwright.tasks.perturb.MOST_PLACED", 7)
    assert MOST_PLACED > 7
    real = real_cells(source, "type_2", treated="treated", scale="log_normalise")
    places = evaluate_perturbation(perturb(unchanged, cells), real, label_key="label").places
    assert places["kind"].value_counts().to_dict() == {"control": 7, "treated": 7, "predicted": 7}


def test_too_few_treated_cells_are_nothing_to_score_by(cells):
    few = cells[(cells.obs["label"] != "type_3") | (cells.obs["condition"] == "control")].copy()
    assert real_cells(open_data(few, **KEYS), "type_3", treated="treated", scale="log_normalise") is None


@pytest.mark.parametrize("n_genes", [1, 2, 3])
def test_of_few_genes_a_prediction_is_scored_and_cells_are_placed_if_there_is_a_plane(cells, n_genes):
    few = cells[:, :n_genes].copy()
    few.X = few.X.toarray() + 1  # no cell without a count
    source = open_data(few, **KEYS)
    real = real_cells(source, "type_2", treated="treated", scale="log_normalise")
    found = evaluate_perturbation(perturb(fitted("no_change", source), few), real, label_key="label")
    assert found.genes["gene"].tolist() == few.var_names.tolist()
    assert found.places.columns.tolist() == ["group", "kind", "x", "y", "share_x", "share_y"]
    if n_genes == 1:
        assert found.places.empty
        return
    x = np.concatenate([real.reference.x_control, real.reference.x_treated]).astype(np.float64)
    shares = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.places[["share_x", "share_y"]].iloc[0], shares[:2] / shares.sum(), rtol=1e-3)
    assert set(found.places["kind"]) == {"control", "treated", "predicted"}
