"""Courses through the command line: fitted, forecast with draws, decoded; and a comparison with the baselines."""

import anndata
import numpy as np
import pandas as pd
import pytest

from cellwright.data.simulate import SimulateOptions, simulate

KEYS = ("--step-key", "time")
PLAIN = ("--transform", "none", "--n-latent", 2)


@pytest.fixture
def course(tmp_path):
    rng = np.random.default_rng(0)
    values = np.sin(rng.uniform(0, 6, (60, 1)) + np.arange(8)) + rng.normal(0, 0.1, (60, 8))
    values[rng.random(values.shape) < 0.1] = np.nan
    adata = anndata.AnnData(values.astype(np.float32), obs=pd.DataFrame(index=[f"gene{i}" for i in range(60)]))
    adata.var = pd.DataFrame({"time": range(0, 80, 10)}, index=[f"t{i}" for i in range(8)])
    adata.write_h5ad(tmp_path / "course.h5ad")
    return tmp_path


def test_a_saved_run_says_how_courses_go_on(cellwright, course):
    assert cellwright("fit", "linear_extrapolation", course / "course.h5ad", *KEYS, "--out", course / "run").code == 0
    asked = ("--data", course / "course.h5ad", "--n-steps", 3, "--n-draws", 20, "--out", course / "said.h5ad")
    ended = cellwright("forecast", course / "run", *asked)
    assert (ended.code, ended.out.split(":")[0]) == (0, "linear_extrapolation")
    assert "3 steps ahead (to 100)" in ended.out
    said = anndata.read_h5ad(course / "said.h5ad")
    assert said.shape == (60, 3)
    assert said.var["step"].tolist() == [80, 90, 100]
    assert set(said.layers) == {"sd", "q05", "q25", "q75", "q95"}


def test_latents_are_written_as_genes_of_the_run_that_made_them(cellwright, course):
    cells = simulate(SimulateOptions(n_obs=60, n_vars=10, n_latent=2), seed=0).adata
    cells.write_h5ad(course / "cells.h5ad")
    assert cellwright("fit", "pca", course / "cells.h5ad", "--n-latent", 2, "--out", course / "pca").code == 0
    latent = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    var = pd.DataFrame({"time": [0, 0, 1, 1, 2, 2], "what": ["z0", "z1"] * 3}, index=[f"v{i}" for i in range(6)])
    anndata.AnnData(latent, var=var).write_h5ad(course / "latent.h5ad")
    keys = (*KEYS, "--quantity-key", "what")
    assert cellwright("fit", "persistence", course / "latent.h5ad", *keys, "--out", course / "run").code == 0
    asked = ("--data", course / "latent.h5ad", "--out", course / "said.h5ad", "--decode-with", course / "pca")
    assert cellwright("forecast", course / "run", *asked).code == 0
    assert anndata.read_h5ad(course / "said.h5ad").var["quantity"].tolist() == cells.var_names.tolist()


def test_a_model_that_does_not_forecast_is_refused_in_one_sentence(cellwright, course):
    assert cellwright("fit", "pca", course / "course.h5ad", *KEYS, *PLAIN, "--out", course / "run").code == 0
    ended = cellwright("forecast", course / "run", "--data", "nothing.h5ad", "--out", "said.h5ad")
    assert ended.code == 2
    assert "cannot do `forecast`" in ended.sentence


def test_a_comparison_of_forecasters_has_the_baselines_and_tables_to_look_at(cellwright, course):
    out = course / "study"
    files = ("compare", course / "course.h5ad", *KEYS, "--models", "forecaster:n_hidden=4", "--seeds", 1)
    assert cellwright(*files, "--max-epochs", 2, "--test", 0.3, "--out", out).code == 0
    board = pd.read_csv(out / "leaderboard.csv", keep_default_na=False)
    of_forecasts = board[board["metric"] == "forecast_rmse"]
    assert set(of_forecasts["model"]) == {"forecaster", "persistence", "linear_extrapolation", "markov_chain"}
    assert set(board["held_out"].astype(str)) == {"True"}
    assert set(of_forecasts.loc[of_forecasts["group"] != "", "group"]) == {"1 ahead", "2 ahead"}
    (run,) = (out / "runs").glob("*-forecaster-*")
    assert {"forecasts.csv", "transitions.csv"} <= {path.name for path in run.iterdir()}
    page = (out / "report.html").read_text()
    assert "How sequences go on" in page
    assert "Which state follows which" in page
