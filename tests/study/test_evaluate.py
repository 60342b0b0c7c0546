"""What a comparison asks of classifiers: splits by donors or by a column, and answers that may be unsure."""

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.data.prepare import OpenOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, MissingKey, OptionError
from cellwright.run import Run
from cellwright.study.compare import CompareOptions, compare
from cellwright.tasks.confidence import scaled, threshold_for

KEYS = OpenOptions(label_key="label")
MODELS = ("logistic:n_latent=3", "knn:n_latent=3", "logistic_balanced:n_latent=3")


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=300, n_vars=20, n_latent=3, label_shares=(0.5, 0.3, 0.2), label_distance=0.8)
    adata = simulate(options, seed=0).adata
    adata.obs["donor"] = pd.Categorical([f"donor {i}" for i in np.arange(300) % 6])
    adata.obs["part"] = np.where(np.arange(300) < 240, "train", "test")
    return adata


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    """Three folds of whole donors, with temperature and threshold."""
    out = tmp_path_factory.mktemp("evaluate") / "study"
    options = CompareOptions(
        models=MODELS, seeds=3, folds=3, group_key="donor", validation=0.25, min_accuracy=0.9, calibrate=True
    )
    return out, compare(cells, options, out=out, keys=KEYS, name="cells")


def runs_of(out, model):
    return [Run(path) for path in sorted(out.glob(f"runs/*-{model}-*"))]


def test_no_donor_is_on_both_sides_and_each_is_held_out_once(study):
    held_out = []
    for run in runs_of(study[0], "logistic"):
        obs = read_h5ad(run.path / "cells.h5ad").obs
        sides = {part: set(obs["donor"][obs["split"] == part]) for part in ("train", "validation", "test")}
        assert sides["test"].isdisjoint(sides["train"] | sides["validation"])
        assert sides["validation"].isdisjoint(sides["train"])
        held_out += sides["test"]
    assert sorted(held_out) == [f"donor {i}" for i in range(6)]


def test_temperature_and_threshold_are_those_of_the_validation_cells(study):
    for run in runs_of(study[0], "logistic"):
        adata, notes = read_h5ad(run.path / "cells.h5ad"), run.record.notes
        rows = (adata.obs["split"] == "validation").to_numpy()
        p, labels = adata.obsm["predicted_probabilities"], list(adata.obs["label"].cat.categories)
        codes = pd.Categorical(adata.obs["label"], categories=labels).codes
        assert notes["threshold"] == pytest.approx(threshold_for(p[rows], codes[rows], 0.9), abs=1e-6)
        # what was scaled says no more by another scaling
        assert notes["temperature"] != 1
        losses = [-np.log(scaled(p[rows], t)[np.arange(rows.sum()), codes[rows]]).mean() for t in (0.8, 1.0, 1.25)]
        assert losses[1] == min(losses)


def test_scores_of_the_answered_are_in_the_leaderboard(study):
    board = study[1]
    overall = board[(board["model"] == "logistic") & (board["group"] == "") & board["held_out"]]
    found = overall.set_index("metric")["mean"]
    runs = [read_h5ad(run.path / "cells.h5ad").obs for run in runs_of(study[0], "logistic")]
    tested = [obs[obs["split"] == "test"] for obs in runs]
    assert found["coverage"] == pytest.approx(np.mean([(obs["predicted"] != "unsure").mean() for obs in tested]))
    answered = [obs[obs["predicted"] != "unsure"] for obs in tested]
    right = [(obs["predicted"].astype(str) == obs["label"].astype(str)).mean() for obs in answered]
    assert found["answered_accuracy"] == pytest.approx(np.mean(right))
    assert {"ece", "brier", "log_loss"} <= set(found.index)


def test_a_given_split_is_used_and_validation_comes_from_train(cells, tmp_path):
    options = CompareOptions(models=MODELS[:1], seeds=2, split_key="part")
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, name="cells")
    assert not (board["status"] == "failed").any()
    tested = []
    for run in runs_of(tmp_path / "study", "logistic"):
        split = pd.read_csv(run.path / "split.csv")["split"]
        assert (split[240:] == "test").all()
        assert (split[:240] == "validation").sum() == 24
        tested.append(tuple(split))
    assert tested[0] != tested[1]  # another validation with another seed


def test_a_column_without_test_cells_cannot_score_a_classifier(cells, tmp_path):
    adata = cells.copy()
    adata.obs["part"] = "train"
    with pytest.raises(DataError, match=r"must call cells 'test' to score logistic"):
        compare(adata, CompareOptions(models=MODELS[:1], split_key="part"), out=tmp_path / "s", keys=KEYS)
    assert not (tmp_path / "s").exists()


def test_a_column_without_validation_cells_cannot_choose_a_threshold(cells, tmp_path):
    options = CompareOptions(models=MODELS[:1], seeds=1, split_key="part", validation=0.0, calibrate=True)
    with pytest.raises(DataError, match=r"must call cells 'validation' where calibrate is given"):
        compare(cells, options, out=tmp_path / "s", keys=KEYS)
    assert not (tmp_path / "s").exists()


def test_a_forecaster_without_held_out_rows_has_no_score(cells, tmp_path):
    with pytest.raises(OptionError, match="must be above 0 to score persistence, which is a forecaster"):
        compare(cells, CompareOptions(models=("persistence",), test=0.0), out=tmp_path / "s", keys=KEYS)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("other", [{"folds": 3}, {"group_key": "donor"}], ids=["folds", "group_key"])
def test_a_given_split_is_the_whole_split(other):
    with pytest.raises(OptionError, match=f"split_key of CompareOptions must be left out where {next(iter(other))}"):
        CompareOptions(models=MODELS[:1], split_key="part", **other)


def test_a_column_that_is_not_there_makes_no_study(cells, tmp_path):
    with pytest.raises(MissingKey, match=r"no 'doner' \(group_key\)"):
        compare(cells, CompareOptions(models=MODELS[:1], group_key="doner"), out=tmp_path / "s", keys=KEYS)
    assert not (tmp_path / "s").exists()


def test_without_validation_cells_a_threshold_cannot_be_chosen(cells, tmp_path):
    options = CompareOptions(models=MODELS[:1], seeds=1, validation=0.0, test=0.2, min_accuracy=0.9)
    with pytest.raises(OptionError, match="validation of CompareOptions must be above 0 where min_accuracy"):
        compare(cells, options, out=tmp_path / "s", keys=KEYS)
