"""A study of augmentation: nothing of test cells is used, it continues, and what fails is rows that say so."""

import shutil

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.data.prepare import OpenOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, OptionError, RunError
from cellwright.metrics import METRICS
from cellwright.models.vae import VAE
from cellwright.run import Run
from cellwright.study import augment_runs as module
from cellwright.study.augment import augment_study
from cellwright.study.augment_plan import AugmentOptions
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.train.options import FitOptions

QUICK = FitOptions(max_epochs=1, batch_size=64)
KEYS = OpenOptions(label_key="label")
SMALL = AugmentOptions(
    models=("vae:n_latent=3:n_hidden=8",), classifiers=("logistic", "logistic_balanced"), seeds=2, target=30
)
N_RUNS = 2 * (2 + 2 * 5)


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=180, n_vars=25, n_latent=3, label_shares=(0.6, 0.34, 0.06)), seed=0).adata


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    seen = []
    return (
        out,
        augment_study(cells, SMALL, out=out, keys=KEYS, fit_options=QUICK, name="cells", watch=seen.append),
        seen,
    )


def runs_of(out, name="*"):
    return [Run(path) for path in sorted((out / "runs").glob(f"cells-{name}-*"))]


def test_tables_and_verdict_are_on_disk_as_they_are_returned(study):
    out, found, seen = study
    board = pd.read_csv(out / "leaderboard.csv")
    assert board.columns.tolist() == LEADERBOARD_COLUMNS
    assert len(board) == len(found.leaderboard)
    assert len(pd.read_csv(out / "augment.csv")) == len(found.effects)
    assert (out / "verdict.txt").read_text().splitlines() == found.verdict
    assert len(seen) == N_RUNS
    assert len(runs_of(out)) == N_RUNS
    assert (board["status"] == "done").all()


def test_scores_are_those_of_the_predicted_labels_of_real_test_cells(study, cells):
    out, _, _ = study
    run = next(run for run in runs_of(out, "logistic") if run.record.notes["added"] == "smote" and run.record.seed == 0)
    adata = read_h5ad(run.path / "cells.h5ad")
    assert adata.obs_names.tolist() == cells.obs_names.tolist()
    test = adata.obs[adata.obs["split"] == "test"]
    truth, said = test["label"].astype(str).to_numpy(), test["predicted"].astype(str).to_numpy()
    scores = run.table("scores.csv")
    overall = scores[scores["group"] == ""].set_index("metric")["value"]
    metric = METRICS["macro_f1"]
    assert overall["macro_f1"] == pytest.approx(metric.function(truth, said))
    (rare,) = run.record.notes["rare"]
    by_class = metric.per_label(truth, labels_predicted=said)
    assert overall["macro_f1_rare"] == pytest.approx(by_class[rare])


def test_all_runs_of_a_seed_test_the_same_cells_and_a_generator_is_fitted_once(study):
    out, _, _ = study
    for seed in (0, 1):
        of_seed = [run for run in runs_of(out) if run.record.seed == seed]
        tests = {tuple(t[t["split"] == "test"].iloc[:, 0]) for t in (run.table("split.csv") for run in of_seed)}
        assert len(tests) == 1
        assert len([run for run in of_seed if run.record.model == "vae"]) == 1


def test_the_generator_makes_what_the_rare_classes_lack(study):
    out, _, _ = study
    for run in runs_of(out, "vae"):
        (name, n) = next(iter(run.record.notes["rare"].items()))
        made = read_h5ad(run.path / "generated.h5ad")
        assert made.obs["label"].value_counts()[name] == made.n_obs == 30 - n


def test_class_weights_stand_among_the_remedies_of_the_plain_classifier(study):
    _, found, _ = study
    effects = found.effects[(found.effects["metric"] == "accuracy") & (found.effects["against"] == "none")]
    board = found.leaderboard[(found.leaderboard["metric"] == "accuracy")].set_index(["model", "setting"])["mean"]
    weights = effects.set_index(["model", "remedy"]).loc[("logistic", "class weights")]
    assert weights["difference"] == pytest.approx(board["logistic_balanced", ""] - board["logistic", ""])
    assert "class weights" not in set(effects.loc[effects["model"] == "logistic_balanced", "remedy"])


def test_running_it_again_repeats_nothing_and_another_plan_is_refused(study, cells, monkeypatch):
    out, found, _ = study
    monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("a finished run was repeated"))
    again = augment_study(cells, SMALL, out=out, keys=KEYS, fit_options=QUICK, name="cells")
    pd.testing.assert_frame_equal(again.leaderboard, found.leaderboard)
    assert again.verdict == found.verdict
    with pytest.raises(RunError, match="another target"):
        other = SMALL.model_copy(update={"target": 31})
        augment_study(cells, other, out=out, keys=KEYS, fit_options=QUICK, name="cells")


def test_a_seed_more_is_all_that_is_run_where_the_others_are_there(study, cells, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(study[0], out)
    seen = []
    more = SMALL.model_copy(update={"seeds": 3})
    found = augment_study(cells, more, out=out, keys=KEYS, fit_options=QUICK, name="cells", watch=seen.append)
    assert [outcome.found for outcome in seen] == [True] * N_RUNS + [False] * (N_RUNS // 2)
    assert found.leaderboard["n_seeds"].dropna().eq(3).all()


def test_a_generator_that_fails_is_rows_that_say_why(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(VAE, "learn", lambda *_: 1 / 0)
    plan = SMALL.model_copy(update={"seeds": 1, "classifiers": ("knn",)})
    found = augment_study(cells, plan, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    failed = found.leaderboard[found.leaderboard["status"] == "failed"].set_index("model")["reason"]
    assert failed["vae"].startswith("ZeroDivisionError")
    assert failed["knn"].startswith("the generator vae:n_hidden=8:n_latent=3 failed: ZeroDivisionError")
    assert {"over", "smote", "nb_by_label"} == set(found.effects["remedy"])


def test_values_other_than_counts_meet_no_draws_of_counts(cells, tmp_path):
    rates = cells.copy()
    rates.X = rates.X * 1.5
    plan = SMALL.model_copy(
        update={"models": ("vae:likelihood=gaussian:n_latent=3",), "seeds": 1, "classifiers": ("knn",)}
    )
    found = augment_study(rates, plan, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert (found.leaderboard["status"] == "done").all()
    assert "nb_by_label" not in set(found.leaderboard["model"])


def test_what_concerns_all_is_refused_before_anything_is_written(cells, tmp_path):
    with pytest.raises(DataError, match="all have 2 or more, so there is nothing to add"):
        augment_study(cells, SMALL.model_copy(update={"target": 2}), out=tmp_path / "study", keys=KEYS)
    with pytest.raises(OptionError, match="label_key of an augmentation study must name the classes"):
        augment_study(cells, SMALL, out=tmp_path / "study", keys=OpenOptions())
    assert not (tmp_path / "study").exists()


def test_held_out_cells_are_in_no_training(cells, tmp_path):
    """Test cells with other values change predictions of themselves only: of no other cell."""
    plan = SMALL.model_copy(update={"seeds": 1, "classifiers": ("knn",)})
    augment_study(cells, plan, out=tmp_path / "first", keys=KEYS, fit_options=QUICK, name="cells")
    split = runs_of(tmp_path / "first", "knn")[0].table("split.csv")
    names = split[split["split"] == "test"].iloc[:, 0].tolist()
    changed = cells.copy()
    values = changed.X.toarray()
    at = changed.obs_names.get_indexer([name for name in names if name in changed.obs_names])
    values[at] = values[at][::-1] * 2 + 1
    changed.X = type(cells.X)(np.asarray(values, dtype=np.float32))
    augment_study(changed, plan, out=tmp_path / "second", keys=KEYS, fit_options=QUICK, name="cells")
    for added in ("none", "over", "smote", "nb_by_label", "vae:n_hidden=8:n_latent=3"):
        first, second = (
            read_h5ad(
                next(r.path for r in runs_of(tmp_path / f, "knn") if r.record.notes["added"] == added) / "cells.h5ad"
            ).obs
            for f in ("first", "second")
        )
        others = (first["split"] != "test").to_numpy()
        assert (first.loc[others, "predicted"] == second.loc[others, "predicted"]).all(), added
