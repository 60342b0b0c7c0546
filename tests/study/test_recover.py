"""A study of imputations: its tables, its folder that continues, what it refuses, processes."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.thinning import thinned
from cellwright.errors import AbilityError, OptionError, RunError, SchemaMismatch, UnsuitableValues
from cellwright.models import MODELS
from cellwright.run import Run
from cellwright.study.recommendation import COLUMNS
from cellwright.study.recover import recover
from cellwright.study.recover_plan import RecoverOptions, n_runs_of
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.tasks.exams.exam import Asked, chosen_features
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

QUICK = FitOptions(max_epochs=2, batch_size=64)
KEYS = OpenOptions(label_key="label")
# the baselines with settings that cost nothing to choose; each stands for the one that would be added
BASELINES = (
    "knn_smoothing:n_neighbors=5:own_weight=1:n_latent=5", "knn_gamma:n_neighbors=5:n_latent=5", "svd:rank=3",
    "alra:rank=3", "magic:n_steps=2:n_latent=5",
)  # fmt: skip
OPTIONS = RecoverOptions(models=("vae:n_latent=3", *BASELINES), seeds=2)


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=260, n_vars=30, n_latent=3, label_shares=(0.5, 0.5))
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def proteins(cells):
    values = np.log1p(cells.X.toarray()[:, [0, 4]]) + np.random.default_rng(0).normal(0, 0.3, (cells.n_obs, 2))
    return AnnData(values.astype(np.float32), obs=pd.DataFrame(index=cells.obs_names),
                   var=pd.DataFrame(index=cells.var_names[[0, 4]]))  # fmt: skip


@pytest.fixture(scope="module")
def study(cells, proteins, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    return out, recover(cells, OPTIONS, out=out, keys=KEYS, fit_options=QUICK, proteins=proteins, name="cells")


def digest(folder):
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_tables_have_the_columns_of_the_contract_and_every_model_with_its_baselines(study):
    out, found = study
    assert list(found.leaderboard.columns) == LEADERBOARD_COLUMNS
    assert list(found.recommendation.columns) == COLUMNS
    baselines = {n for n, e in MODELS.items() if e.model.is_baseline and "imputes" in e.abilities}
    assert set(found.recommendation["model"]) == {"vae", *baselines}
    assert n_runs_of(OPTIONS) == 2 * (1 + len(baselines))
    assert len(list((out / "runs").iterdir())) == n_runs_of(OPTIONS)
    assert (found.leaderboard["status"] == "done").all()
    assert (out / "study.toml").exists()
    on_disk = pd.read_csv(out / "recommendation.csv", keep_default_na=False, na_values=[""])
    assert on_disk["model"].tolist() == found.recommendation["model"].tolist()


def test_every_exam_has_its_scores_and_draws_are_scored_for_what_draws(study, cells):
    board = study[1].leaderboard
    overall = board[board["group"] == ""]
    metrics = {
        "poisson_deviance",
        "log_mse",
        "entry_rmse",
        "false_correlation",
        "false_markers",
        "protein_spearman",
        "ari",
    }
    assert all(metrics <= set(part["metric"]) for _, part in overall.groupby("model"))
    drawn = set(overall.loc[overall["metric"] == "false_correlation_drawn", "model"])
    assert drawn == {"vae", "knn_gamma"}
    assert overall["n_seeds"].eq(2).all()
    labels = set(cells.obs["label"].astype(str))
    assert set(board.loc[board["metric"] == "poisson_deviance", "group"]) == {"", *labels}


def test_as_measured_does_no_harm_and_is_never_recommended(study):
    table = study[1].recommendation.set_index("model")
    assert table.loc["as_measured", "false_correlation"] == 0
    assert not table.loc["as_measured", "is_recommended"]


def test_a_run_is_the_fit_on_kept_molecules_and_holds_what_people_look_at(study, cells):
    run = Run(next((study[0] / "runs").glob("cells-vae-*-s0")))
    assert run.record.status == "done"
    assert run.verify() == []
    assert run.record.notes["hidden"] == 0.1
    assert run.record.notes["n_proteins"] == 2
    assert (run.path / "model.safetensors").exists()
    assert {"gene_x", "before_x", "after_y"} <= set(run.table("gene_pairs.csv").columns)
    assert run.table("proteins.csv")["protein"].tolist() == cells.var_names[[0, 4]].tolist()
    assert read_h5ad(run.path / "cells.h5ad").obs["label"].nunique() == 2


def test_the_same_study_again_repeats_nothing(study, cells, proteins):
    out, first = study
    runs = digest(out / "runs")
    seen = []
    again = recover(
        cells, OPTIONS, out=out, keys=KEYS, fit_options=QUICK, proteins=proteins, name="cells", watch=seen.append
    )
    assert all(outcome.found for outcome in seen)
    assert digest(out / "runs") == runs
    pd.testing.assert_frame_equal(again.recommendation, first.recommendation)


def test_a_seed_more_is_all_that_is_run_where_the_others_are_there(study, cells, proteins, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(study[0], out)
    seen = []
    more = OPTIONS.model_copy(update={"seeds": 3})
    found = recover(
        cells, more, out=out, keys=KEYS, fit_options=QUICK, proteins=proteins, name="cells", watch=seen.append
    )
    assert {outcome.found for outcome in seen if outcome.seed < 2} == {True}
    assert {outcome.found for outcome in seen if outcome.seed == 2} == {False}
    overall = found.leaderboard[found.leaderboard["group"] == ""]
    assert overall["n_seeds"].eq(3).all()


def test_labels_balance_nothing_for_no_model_is_told_them(cells, tmp_path):
    options = RecoverOptions(models=("vae:n_latent=3", *BASELINES), seeds=1, exams=("molecules",))
    weighed = QUICK.model_copy(update={"balance": FitOptions(balance="over").balance})
    found = recover(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=weighed)
    assert (found.leaderboard["status"] == "done").all()


def test_a_run_that_was_killed_before_its_scores_is_scored_without_another_fit(study, cells, proteins, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(study[0], out)
    run = next((out / "runs").glob("cells-vae-*-s1"))
    before = (run / "model.safetensors").read_bytes(), (run / "scores.csv").read_text()
    for file in ("cells.h5ad", "scores.csv"):
        (run / file).unlink()
    recover(cells, OPTIONS, out=out, keys=KEYS, fit_options=QUICK, proteins=proteins, name="cells")
    assert ((run / "model.safetensors").read_bytes(), (run / "scores.csv").read_text()) == before


@pytest.mark.usefixtures("forked")
def test_two_processes_give_what_one_gives(cells, tmp_path):
    tables = []
    for workers in (1, 2):
        options = RecoverOptions(models=BASELINES, seeds=1, exams=("molecules",), workers=workers)
        file = tmp_path / "cells.h5ad"
        cells.write_h5ad(file)
        tables.append(recover(file, options, out=tmp_path / str(workers), keys=KEYS).leaderboard)
    cost = ["seconds", "peak_bytes"]
    pd.testing.assert_frame_equal(tables[0].drop(columns=cost), tables[1].drop(columns=cost))


def test_genes_are_chosen_in_every_run_from_what_is_kept(cells, tmp_path):
    """Those that preprocessing chooses from the molecules that the seed of the run keeps, which are others."""
    options = RecoverOptions(models=("svd:rank=3", *BASELINES[:2], *BASELINES[3:]), seeds=2, exams=("molecules",))
    preprocessing = PreprocessOptions(n_top_genes=15)
    recover(cells, options, out=tmp_path / "study", preprocessing=preprocessing, name="cells")
    source = open_data(cells)
    found, expected = [], []
    for seed in range(2):
        run = next((tmp_path / "study" / "runs").glob(f"cells-svd-*-s{seed}"))
        found.append(list(load_run(run).schema.var_names))
        parts = thinned(source, np.arange(source.n_obs), 0.9, Asked(source, 0.1, preprocessing, seed).rng(0))
        expected.append([source.schema.var_names[at] for at in chosen_features(parts.kept, preprocessing)])
    assert found == expected
    assert found[0] != found[1]
    assert len(found[0]) == 15


def test_models_are_told_no_labels(cells, tmp_path):
    """They are clusters of the whole counts, mostly: with others, every fit and every overall score is the same."""
    shuffled = cells.copy()
    shuffled.obs["label"] = np.random.default_rng(0).permutation(cells.obs["label"].to_numpy())
    small = "diffusion:n_latent=3:n_denoiser_hidden=16:n_denoiser_layers=1:n_steps=5"
    options = RecoverOptions(models=(small, *BASELINES), seeds=1, exams=("molecules",))
    deviances = []
    for place, data in enumerate((cells, shuffled)):
        board = recover(
            data, options, out=tmp_path / str(place), keys=KEYS, fit_options=QUICK, name="cells"
        ).leaderboard
        overall = board[(board["metric"] == "poisson_deviance") & (board["group"] == "")]
        deviances.append(overall.set_index("model")["mean"])
    pd.testing.assert_series_equal(*deviances, check_exact=True)
    assert deviances[0]["diffusion"] != deviances[0]["gene_mean"]


def test_a_model_that_fails_is_a_row_that_says_why(cells, tmp_path):
    options = RecoverOptions(models=("svd:rank=500", *BASELINES[:2], *BASELINES[3:]), seeds=1, exams=("molecules",))
    found = recover(cells, options, out=tmp_path / "study", name="cells")
    failed = found.leaderboard[found.leaderboard["status"] == "failed"]
    assert failed["model"].tolist() == ["svd"]
    assert "rank 500" in failed["reason"].iloc[0]
    assert "svd" not in set(found.recommendation["model"])


@pytest.mark.parametrize(
    ("values", "error", "what"),
    [
        ({"models": ("pca",)}, AbilityError, "pca cannot impute"),
        ({"models": ("vae", "vae")}, OptionError, "is there twice"),
        ({"exams": ("entries",)}, OptionError, "must hold 'molecules'"),
        ({"exams": ("molecule",)}, OptionError, "Did you mean 'molecules'"),
        ({"hidden": 1.0}, OptionError, "hidden of RecoverOptions"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(cells, tmp_path, values, error, what):
    with pytest.raises(error, match=what):
        recover(cells, RecoverOptions(**values), out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_values_that_are_no_counts_and_foreign_proteins_are_refused(cells, proteins, tmp_path):
    logs = cells.copy()
    logs.X = np.log1p(cells.X.toarray())
    with pytest.raises(UnsuitableValues, match="hiding molecules"):
        recover(logs, OPTIONS, out=tmp_path / "study")
    other = proteins.copy()
    other.obs_names = [f"other{i}" for i in range(other.n_obs)]
    with pytest.raises(SchemaMismatch, match="same cells"):
        recover(cells, OPTIONS, out=tmp_path / "study", proteins=other)
    assert not (tmp_path / "study").exists()


def test_another_study_does_not_go_into_the_same_folder(study, cells):
    with pytest.raises(RunError, match="another hidden"):
        recover(
            cells, OPTIONS.model_copy(update={"hidden": 0.3}), out=study[0], keys=KEYS, fit_options=QUICK, name="cells"
        )
