"""A comparison is a table, a folder that continues, and rows that say why something failed."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from cellwright.data.prepare import OpenOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import MissingKey, OptionError, RunError
from cellwright.models.vae import VAE
from cellwright.report.page import report
from cellwright.run import Run
from cellwright.study import compare as module
from cellwright.study.compare import CompareOptions, compare
from cellwright.study.evaluate import held_out_clusters
from cellwright.study.statistics import LEADERBOARD_COLUMNS, interval
from cellwright.train.options import FitOptions

QUICK = FitOptions(max_epochs=2, batch_size=64)
BASELINES = ("pca:n_latent=3", "pca_unscaled:n_latent=3")
TWO = CompareOptions(models=("vae:n_latent=3", "ae:n_latent=3", *BASELINES), seeds=2, test=0.2)
KEYS = OpenOptions(label_key="label")


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=150, n_vars=30, n_latent=3, label_shares=(0.5, 0.3, 0.2)), seed=0).adata


@pytest.fixture(scope="module")
def sequences():
    """Rows of two shapes over eight times, with gaps; times in var."""
    rng = np.random.default_rng(0)
    kind = np.arange(100) % 2
    values = np.sin(np.linspace(0, 6, 40) + 2 * kind[:, None]) + 0.3 * rng.normal(size=(100, 40))
    values[rng.random(values.shape) < 0.1] = np.nan
    adata = AnnData(X=values.astype(np.float32), obs={"label": np.array(["early", "late"])[kind]})
    adata.var["time"] = np.arange(40.0)
    return adata


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    """UMAP compiles for a quarter of a minute; it has its own tests."""
    monkeypatch.setattr("cellwright.study.evaluate.embed", lambda adata, use_rep: None)


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellwright.study.evaluate.embed", lambda adata, use_rep: None)
        board = compare(cells, TWO, out=out, keys=KEYS, fit_options=QUICK, name="cells")
    return out, board


def digest(folder: Path):
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_leaderboard_on_disk_is_the_one_returned_with_the_columns_of_the_contract(study):
    out, board = study
    there = pd.read_csv(out / "leaderboard.csv")
    assert there.columns.tolist() == LEADERBOARD_COLUMNS
    assert len(there) == len(board)
    assert set(there["model"]) == {"pca", "pca_unscaled", "nb_by_label", "real_cells", "ae", "vae"}
    assert set(there.loc[there["is_baseline"], "model"]) == {"pca", "pca_unscaled", "nb_by_label", "real_cells"}
    assert (there["n_seeds"] == 2).all()


def test_a_mean_and_its_interval_are_those_of_the_runs_scores(study):
    out, board = study
    values = []
    for run in sorted((out / "runs").glob("cells-vae-*")):
        scores = Run(run).table("scores.csv")
        values.append(scores.query("metric == 'ari' and held_out == False and group == ''")["value"].item())
    row = board.query("model == 'vae' and metric == 'ari' and held_out == False and group == ''").iloc[0]
    mean, sd, low, high = interval(np.array(values))
    assert row[["mean", "sd", "ci_low", "ci_high"]].tolist() == pytest.approx([mean, sd, low, high])


def test_all_models_have_the_same_split_per_seed(study):
    out, _ = study
    for seed in (0, 1):
        splits = [(run / "split.csv").read_text() for run in (out / "runs").glob(f"*-s{seed}")]
        assert len(splits) == 6
        assert len(set(splits)) == 1
    assert len({(run / "split.csv").read_text() for run in (out / "runs").iterdir()}) == 2


def test_every_run_folder_is_whole(study, cells):
    out, _ = study
    for path in (out / "runs").iterdir():
        run = Run(path)
        assert run.record.status == "done"
        assert run.verify() == []
        adata = read_h5ad(path / "cells.h5ad")
        assert adata.obs_names.tolist() == cells.obs_names.tolist()
        if run.record.model not in ("nb_by_label", "real_cells"):  # they encode nothing
            assert adata.obsm[f"X_{run.record.model}"].shape == (150, 3)


def test_running_it_again_repeats_nothing_and_changes_no_run(study, cells, monkeypatch):
    out, board = study
    before = digest(out / "runs")
    monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("a finished run was repeated"))
    again = compare(cells, TWO, out=out, keys=KEYS, fit_options=QUICK, name="cells")
    assert digest(out / "runs") == before
    pd.testing.assert_frame_equal(board, again)


def test_other_options_are_other_runs_in_the_same_study(study, cells, tmp_path):
    out, _ = study
    n_before = len(list((out / "runs").iterdir()))
    more = TWO.model_copy(update={"models": ("pca:n_latent=4", BASELINES[1]), "seeds": 1})
    compare(cells, more, out=out, keys=KEYS, fit_options=QUICK, name="cells")
    assert len(list((out / "runs").iterdir())) == n_before + 1


def test_a_model_that_fails_is_a_row_that_says_why(cells, tmp_path):
    options = TWO.model_copy(update={"models": ("vae:learning_rate=1e30", *BASELINES), "seeds": 1})
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    failed = board[board["status"] == "failed"]
    assert failed["model"].tolist() == ["vae"]
    assert "must be finite" in failed["reason"].item()
    assert (board[board["is_baseline"]]["status"] == "done").all()


def test_an_error_nobody_foresaw_is_a_row_too_with_its_traceback_in_the_log(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(VAE, "encode", lambda self, minibatch: 1 / 0)
    options = TWO.model_copy(update={"models": ("vae:n_latent=3",), "seeds": 1})
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert board[board["status"] == "failed"]["reason"].item() == "ZeroDivisionError: division by zero"
    log = next((tmp_path / "study" / "runs").glob("cells-vae-*")) / "log.txt"
    assert "Traceback" in log.read_text()


def test_a_comparison_killed_after_the_fit_goes_on_with_the_evaluation(cells, tmp_path, monkeypatch):
    options = TWO.model_copy(update={"models": (*BASELINES, "ae:n_latent=3"), "seeds": 1})

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert (board["status"] == "done").all()
    assert len(list((tmp_path / "study" / "runs").iterdir())) == 3


def test_what_concerns_all_models_ends_the_comparison_before_it_begins(cells, tmp_path):
    with pytest.raises(MissingKey, match="Did you mean 'label'"):
        compare(cells, TWO, out=tmp_path / "study", keys=OpenOptions(label_key="lable"))
    with pytest.raises(OptionError, match="is there twice"):
        compare(cells, CompareOptions(models=("vae", "vae")), out=tmp_path / "study", keys=KEYS)
    assert not (tmp_path / "study").exists()  # the same folder serves the right key


def test_a_folder_with_other_files_is_refused_and_left_alone(cells, tmp_path):
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(RunError, match="holds other files"):
        compare(cells, TWO, out=tmp_path, keys=KEYS, fit_options=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_cells_of_a_label_called_cluster_keep_it(cells, tmp_path):
    named = cells.copy()
    named.obs["cluster"] = named.obs["label"]
    options = TWO.model_copy(update={"models": BASELINES, "seeds": 1})
    board = compare(named, options, out=tmp_path / "study", keys=OpenOptions(label_key="cluster"), fit_options=QUICK)
    written = read_h5ad(next((tmp_path / "study" / "runs").iterdir()) / "cells.h5ad")
    assert written.obs["cluster"].astype(str).tolist() == named.obs["cluster"].astype(str).tolist()
    assert (board.query("metric == 'ari' and held_out == False and group == ''")["mean"] < 1).all()


def test_held_out_cells_do_not_move_the_centres_they_are_assigned_to(cells):
    class Parts:
        class split:
            train, validation, test = np.arange(0, 80), np.arange(80, 100), np.arange(100, 120)

    rng = np.random.default_rng(0)
    latent = np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(20, 1, (60, 2))])
    moved = latent.copy()
    moved[100:] += 1000
    here, there = (held_out_clusters(z, Parts, 2, seed=0) for z in (latent, moved))
    assert np.array_equal(here[:100], there[:100])


def test_preprocessing_chooses_genes_from_training_cells_only(cells, tmp_path):
    from cellwright.data.preprocess import PreprocessOptions

    options = TWO.model_copy(update={"models": BASELINES, "seeds": 1})
    compare(
        cells,
        options,
        out=tmp_path / "study",
        keys=KEYS,
        fit_options=QUICK,
        preprocessing=PreprocessOptions(n_top_genes=10),
    )
    run = Run(next((tmp_path / "study" / "runs").iterdir()))
    report = run.record.notes["preprocessing"]
    n_test = (run.table("split.csv")["split"] == "train").sum()
    assert report["n_fit"] == n_test
    assert len(report["features"]) == 10
    assert run.record.data["shape"] == [150, 10]


def test_a_study_of_other_data_is_refused_and_left_alone(cells, tmp_path):
    options = TWO.model_copy(update={"models": BASELINES, "seeds": 1})
    compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    before = digest(tmp_path / "study")
    with pytest.raises(RunError, match="must be a study of 'others'; it is one of 'cells'"):
        compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="others")
    assert digest(tmp_path / "study") == before


def test_the_same_model_in_another_spelling_is_refused(cells, tmp_path):
    twice = CompareOptions(models=("pca:n_latent=3:scale=false", "pca:scale=false:n_latent=3"))
    with pytest.raises(OptionError, match=r"pca \(n_latent=3, scale=False\) is there twice"):
        compare(cells, twice, out=tmp_path / "study", keys=KEYS)


def test_other_covariates_are_other_runs(cells, tmp_path):
    aged = cells.copy()
    aged.obs["age"] = np.arange(cells.n_obs, dtype=float)
    options = TWO.model_copy(update={"models": ("vae:n_latent=3",), "seeds": 1})
    names = set()
    for covariates in ((), ("age",)):
        keys = OpenOptions(label_key="label", covariate_keys=covariates)
        out = tmp_path / f"study-{len(covariates)}"
        compare(aged, options, out=out, keys=keys, fit_options=QUICK, name="cells")
        names |= {path.name for path in (out / "runs").glob("cells-vae-*")}
    assert len(names) == 2


def test_a_study_with_other_settings_is_refused_and_left_alone(cells, tmp_path):
    options = TWO.model_copy(update={"models": BASELINES, "seeds": 1})
    compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    before = digest(tmp_path / "study")
    longer = QUICK.model_copy(update={"max_epochs": 3})
    with pytest.raises(RunError, match=r"holds a study with another max_epochs: 2, now 3;.*Give another folder"):
        compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=longer, name="cells")
    assert digest(tmp_path / "study") == before


def test_a_run_is_known_by_the_name_that_was_asked_for(cells, tmp_path):
    options = TWO.model_copy(update={"models": ("dae:n_latent=3:corruption=noise",), "seeds": 1})
    compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    run = Run(next((tmp_path / "study" / "runs").glob("cells-dae-*")))
    assert run.record.model == "dae"
    assert "X_dae" in read_h5ad(run.path / "cells.h5ad").obsm


def test_labels_that_look_like_numbers_stay_text(cells, tmp_path):
    numbered = cells.copy()
    numbered.obs["label"] = numbered.obs["label"].cat.codes.astype(str).astype("category")
    options = TWO.model_copy(update={"models": BASELINES, "seeds": 1})
    board = compare(numbered, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert set(board["group"]) == {"", "0", "1", "2"}


CLASSIFIERS = ("logistic:n_latent=4", "logistic_balanced:n_latent=4", "knn:n_latent=4")


def test_classifiers_are_scored_on_held_out_cells_and_leave_no_latent(cells, tmp_path):
    options = CompareOptions(models=CLASSIFIERS, seeds=1, test=0.2)
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert set(board["model"]) == {"logistic", "logistic_balanced", "knn"}
    assert set(board["task"]) == {"classify"}
    assert board["held_out"].all()
    for path in (tmp_path / "study" / "runs").iterdir():
        run, adata = Run(path), read_h5ad(path / "cells.h5ad")
        assert list(adata.obsm) == ["predicted_probabilities"]
        held_out = adata.obs[adata.obs["split"] == "test"]
        share = (held_out["predicted"].astype(str) == held_out["label"].astype(str)).mean()
        row = board.query("model == @run.record.model and metric == 'accuracy'")
        assert row["mean"].item() == pytest.approx(share)
        assert run.verify() == []
    page = report(tmp_path / "study").read_text()
    assert "Balanced accuracy" in page
    assert 'id="latent"' not in page


def test_a_comparison_of_classifiers_alone_continues_and_repeats_nothing(cells, tmp_path, monkeypatch):
    options = CompareOptions(models=CLASSIFIERS, seeds=1, test=0.2)
    first = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("a finished run was repeated"))
    again = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    pd.testing.assert_frame_equal(first, again)


def test_a_latent_that_labels_made_is_scored_against_those_of_held_out_cells_only(cells, tmp_path):
    options = CompareOptions(models=("semi_vae:n_latent=3", *BASELINES), seeds=1, test=0.3)
    board = compare(cells, options, out=tmp_path, keys=KEYS, fit_options=QUICK)
    for name, seen in (("semi_vae", {True}), ("pca", {True, False})):
        assert set(board[board["model"] == name].query("metric == 'ari'")["held_out"]) == seen
    assert not (board.query("model == 'semi_vae'")["metric"] == "best_leiden_ari").any()


def test_a_classifier_without_held_out_cells_is_refused(cells, tmp_path):
    options = CompareOptions(models=CLASSIFIERS, seeds=1, test=0)
    with pytest.raises(OptionError, match="must be above 0 to score logistic"):
        compare(cells, options, out=tmp_path / "study", keys=KEYS)
    assert not (tmp_path / "study").exists()


def test_as_many_seeds_as_folds_hold_out_every_cell_once(cells, tmp_path):
    options = CompareOptions(models=CLASSIFIERS, seeds=3, folds=3)
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert (board["n_seeds"] == 3).all()
    held_out = []
    for path in (tmp_path / "study" / "runs").glob("cells-knn-*"):
        split = Run(path).table("split.csv")
        held_out += split.loc[split["split"] == "test", "obs"].tolist()
        counts = cells.obs.loc[split.loc[split["split"] == "test", "obs"], "label"].value_counts()
        assert (abs(counts - cells.obs["label"].value_counts() / 3) < 1).all()
    assert sorted(held_out) == sorted(cells.obs_names)


def test_another_number_of_folds_is_another_study(cells, tmp_path):
    options = CompareOptions(models=CLASSIFIERS, seeds=1, folds=3)
    compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    with pytest.raises(RunError, match="another folds: 3, now 4"):
        compare(
            cells,
            options.model_copy(update={"folds": 4}),
            out=tmp_path / "study",
            keys=KEYS,
            fit_options=QUICK,
            name="cells",
        )


def test_a_model_without_anything_to_be_scored_by_is_a_row_with_its_cost(cells, tmp_path):
    options = CompareOptions(models=("gene_mean",), seeds=1)
    board = compare(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert board[["model", "status"]].to_numpy().tolist() == [["gene_mean", "done"]]
    assert board["mean"].isna().all()
    assert board["seconds"].item() > 0
    assert "no scores" in report(tmp_path / "study").read_text()


def test_sequences_with_gaps_and_negative_values_meet_baselines_that_can_use_them(sequences, tmp_path):
    keys = OpenOptions(label_key="label", step_key="time")
    board = compare(
        sequences,
        CompareOptions(models=("lstm:n_hidden=4", "sequence_ae:n_hidden=4:n_latent=2"), seeds=1, test=0.2),
        out=tmp_path / "study",
        keys=keys,
        fit_options=QUICK,
        name="sequences",
    )
    assert (board["status"] == "done").all(), board["reason"].tolist()
    assert set(board["model"]) == {"pca", "pca_unscaled", "logistic", "logistic_balanced", "knn", "lstm", "sequence_ae"}
    assert set(board.loc[board["is_baseline"], "setting"]) == {"transform=none"}


def test_a_baseline_that_cannot_use_the_values_is_not_added(cells, tmp_path):
    rates = cells.copy()
    rates.X = rates.X * 1.5
    options = TWO.model_copy(update={"models": ("vae:n_latent=3:likelihood=gaussian", *BASELINES), "seeds": 1})
    board = compare(rates, options, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert set(board["model"]) == {"pca", "pca_unscaled", "real_cells", "vae"}
    assert (board["status"] == "done").all()
    asked = options.model_copy(update={"models": ("nb_by_label", *options.models)})
    board = compare(rates, asked, out=tmp_path / "study", keys=KEYS, fit_options=QUICK, name="cells")
    assert "counts" in board.set_index("model").loc["nb_by_label", "reason"]
