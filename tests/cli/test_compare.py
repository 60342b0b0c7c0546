"""`cellwright compare`: what it prints and leaves, and how it ends when models fail."""

import signal

import numpy as np
import pandas as pd
import pytest

from cellwright.train.engine import Engine

pytestmark = pytest.mark.usefixtures("without_umap")
QUICK = ["--max-epochs", "2", "--seeds", "1", "--label-key", "label"]
BASELINES = "pca:n_latent=3,pca_unscaled:n_latent=3"
ARMS = ["--models", f"ae:n_latent=3,{BASELINES}"]


def test_a_comparison_prints_its_leaderboard_and_its_page(cellwright, cells, tmp_path):
    ended = cellwright("compare", cells, "--out", tmp_path / "study", *QUICK, *ARMS)
    board = pd.read_csv(tmp_path / "study" / "leaderboard.csv")
    first = board.query("metric == 'ari' and held_out == False and group.isna()").sort_values("mean").iloc[-1]
    assert ended.code == 0
    assert ended.out.splitlines()[1].split()[0] == first["model"]
    assert f"{first['mean']:.3f}" in ended.out.splitlines()[1]
    assert ended.out.splitlines()[-1].endswith(str(tmp_path / "study" / "report.html"))
    assert (tmp_path / "study" / "report.html").exists()


def test_a_comparison_takes_a_remedy_with_settings_and_goes_on_with_it(cellwright, cells, tmp_path):
    command = ["compare", cells, "--out", tmp_path / "study", *QUICK, *ARMS, "--balance", "over:by=label"]
    assert cellwright(*command).code == 0
    assert 'name = "over"' in (tmp_path / "study" / "study.toml").read_text()
    assert "found finished" in cellwright(*command).err


def test_progress_is_a_line_per_run_on_standard_error(cellwright, cells, tmp_path):
    command = ["compare", cells, "--out", tmp_path / "study", *QUICK, *ARMS]
    lines = cellwright(*command).err.splitlines()
    assert [line.rsplit(":", 1)[0] for line in lines] == [
        f"{name} n_latent=3 seed 0" for name in ("ae", "pca", "pca_unscaled")
    ]
    assert [line.rsplit(": ", 1)[1] for line in cellwright(*command).err.splitlines()] == ["found finished"] * 3


def test_a_model_that_fails_is_a_row_and_the_others_count(cellwright, cells, tmp_path):
    tokens = ["--models", f"vae:learning_rate=1e30,{BASELINES}", "--batch-size", "32"]
    ended = cellwright("compare", cells, "--out", tmp_path / "study", *QUICK, *tokens)
    assert ended.code == 0
    assert "vae learning_rate=1e+30 failed: training diverged" in ended.out


def test_a_comparison_in_which_every_model_fails_ends_with_2(cellwright, simulated, tmp_path):
    bad = simulated.copy()
    bad.X.data[0] = np.nan
    bad.write_h5ad(tmp_path / "bad.h5ad")
    ended = cellwright("compare", tmp_path / "bad.h5ad", "--out", tmp_path / "study", *QUICK, *ARMS)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("cellwright: no model could be fitted: all 3 runs failed")
    assert "Traceback" not in ended.err


def test_an_interrupted_comparison_ends_with_130_and_continues_where_it_was(cellwright, cells, tmp_path, monkeypatch):
    command = ["compare", cells, "--out", tmp_path / "study", *QUICK, "--models", f"{BASELINES},ae:n_latent=3"]
    with monkeypatch.context() as patch:
        whole_step = Engine.step

        def step(engine, *arguments):
            signal.raise_signal(signal.SIGINT)
            return whole_step(engine, *arguments)

        patch.setattr(Engine, "step", step)
        ended = cellwright(*command)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.splitlines()[-1].endswith("run the same command again to resume.")
    ended = cellwright(*command)
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "pca n_latent=3 seed 0: found finished"


def test_a_study_of_the_catalogue_bears_its_name_and_takes_preprocessing(cellwright, tmp_path):
    tokens = ["--models", BASELINES, "--seeds", "1", "--n-top-genes", "50"]
    assert cellwright("compare", "pbmc68k_reduced", "--out", tmp_path / "study", *tokens).code == 0
    runs = sorted((tmp_path / "study" / "runs").iterdir())
    assert [run.name.split("-")[:2] for run in runs] == [
        ["pbmc68k_reduced", "pca"],
        ["pbmc68k_reduced", "pca_unscaled"],
    ]
    assert all('"n_top_genes": 50' in (run / "run.json").read_text() for run in runs)


def test_a_folder_with_other_files_ends_with_2_and_stays_as_it_is(cellwright, cells, finished, digest):
    before = digest(finished)
    ended = cellwright("compare", cells, "--out", finished, *QUICK)
    assert (ended.code, ended.out) == (2, "")
    assert "must be a new or an empty folder, or a study" in ended.sentence
    assert digest(finished) == before
