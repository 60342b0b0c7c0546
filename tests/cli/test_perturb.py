"""`cellwright perturb`: what it prints and leaves, what it refuses, and how it continues."""

import signal

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.train.engine import Engine

KEYS = ["--condition-key", "condition", "--control", "control", "--label-key", "label"]
SHORT = ["--models", "scgen:n_latent=3:n_hidden=16", "--max-epochs", "2", "--seeds", "1", "--min-cells", "50"]


@pytest.fixture(scope="module")
def adata():
    options = SimulateOptions(n_obs=240, n_vars=40, n_latent=3, label_shares=(0.4, 0.3, 0.3), treated_share=0.5)
    return simulate(options, seed=0).adata


@pytest.fixture
def treated(adata, tmp_path):
    adata.write_h5ad(tmp_path / "treated.h5ad")
    return tmp_path / "treated.h5ad"


def test_a_prediction_says_first_what_it_is_worth_and_where_the_cells_are(cellwright, treated, adata, tmp_path):
    tokens = [*KEYS, *SHORT, "--treated", "treated", "--hold-out", "type_2", "--out", tmp_path / "out"]
    ended = cellwright("perturb", treated, *tokens)
    lines = ended.out.splitlines()
    assert ended.code == 0, ended.err
    assert "best baseline" in lines[0]
    table = lines[2:12]
    assert table[0].split()[:2] == ["model", "R2"]
    assert table[1].startswith("half_split (ceiling)")
    assert any(line.startswith("no_change (baseline)") for line in table)
    assert f"predicted cells: {tmp_path / 'out' / 'cells.h5ad'}" in lines
    assert lines[-1].endswith(str(tmp_path / "out" / "report.html"))
    predicted = read_h5ad(tmp_path / "out" / "cells.h5ad")
    controls = adata[(adata.obs["label"] == "type_2") & (adata.obs["condition"] == "control")]
    assert predicted.obs_names.tolist() == controls.obs_names.tolist()
    board = pd.read_csv(tmp_path / "out" / "leaderboard.csv").query("metric == 'mean_r2' and group.isna()")
    no_change = board.set_index("model").loc["no_change", "mean"]
    assert f"{no_change:.3f}" in next(line for line in table if line.startswith("no_change"))


def test_a_study_says_which_remedy_helped_and_a_run_in_a_line(cellwright, treated, tmp_path):
    study = ["--hold-out-each", "type_1", "--balance", "none,over", "--where", "shift", "--quick"]
    ended = cellwright("perturb", treated, *KEYS, *SHORT, *study, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "emed" in ended.out.splitlines()[1]
    assert "a quick look: 2 epochs at most, 1 seed(s)" in ended.out
    lines = ended.err.splitlines()
    setting = "n_hidden=16, n_latent=3, quick: 2 epochs at most"
    assert lines[-1].startswith(f"scgen {setting}, balance=over in shift without type_1 seed 0: ")
    again = cellwright("perturb", treated, *KEYS, *SHORT, *study, "--out", tmp_path / "out")
    assert {line.rsplit(": ", 1)[1] for line in again.err.splitlines()} == {"found finished"}


def test_a_screen_is_summed_up_over_the_mean_response(cellwright, adata, tmp_path):
    several = adata.copy()
    treated = (several.obs["condition"] == "treated").to_numpy()
    several.obs["condition"] = np.where(treated, np.where(np.arange(len(treated)) % 2, "a", "b"), "control")
    several.write_h5ad(tmp_path / "screen.h5ad")
    tokens = ["--treated", "all", "--hold-out-each", "type_1", "--models", "gene_shift", "--seeds", "1"]
    ended = cellwright(
        "perturb", tmp_path / "screen.h5ad", *KEYS, *tokens, "--min-cells", "50", "--out", tmp_path / "o"
    )
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split()[:3] == ["model", "screen", "score"]
    assert any(line.startswith("mean_response (baseline) ") and " 0.000 " in line for line in lines)
    assert lines[-1].endswith(str(tmp_path / "o" / "report.html"))
    single = cellwright(
        "perturb", tmp_path / "screen.h5ad", *KEYS, *tokens[:2], "--hold-out", "type_1", "--out", tmp_path / "p"
    )
    assert single.code == 2
    assert "treated=all must go with hold_out_each" in single.sentence


def test_a_type_that_was_never_treated_is_predicted_without_scores(cellwright, adata, tmp_path):
    rows = ~((adata.obs["label"] == "type_2") & (adata.obs["condition"] == "treated"))
    adata[rows].copy().write_h5ad(tmp_path / "never.h5ad")
    ended = cellwright(
        "perturb", tmp_path / "never.h5ad", *KEYS, *SHORT, "--hold-out", "type_2", "--out", tmp_path / "o"
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith("no treated cells of the held-out labels")
    assert (tmp_path / "o" / "cells.h5ad").exists()


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([*KEYS, "--hold-out", "type_9"], "held-out labels must be values of 'label'"),
        ([*KEYS, "--hold-out", "type_1,type_2"], "a response must be learnt from 2 labels or more"),
        ([*KEYS, "--hold-out", "type_1", "--treated", "tretaed"], "Did you mean 'treated'?"),
        ([*KEYS, "--hold-out", "type_1", "--treated", "control"], "both are 'control'"),
        ([*KEYS[:3], "ctrl", *KEYS[4:], "--hold-out", "type_1"], "control must be a condition of the data"),
        ([*KEYS[2:], "--hold-out", "type_1"], "Give condition_key"),
        (KEYS, "hold_out or hold_out_each must name labels"),
        ([*KEYS, "--hold-out", "type_1", "--models", "vae"], "vae cannot predict responses"),
        ([*KEYS, "--hold-out", "type_1", "--balance", "undr"], "balance must be one of none, under"),
    ],
    ids=["label", "one shared", "treated", "control", "no such control", "no key", "nothing", "model", "remedy"],
)
def test_bad_use_ends_with_2_and_one_sentence(cellwright, treated, tmp_path, tokens, sentence):
    ended = cellwright("perturb", treated, *tokens, "--out", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.sentence
    assert not (tmp_path / "out").exists()


def test_a_type_without_control_cells_ends_with_2(cellwright, adata, tmp_path):
    rows = ~((adata.obs["label"] == "type_2") & (adata.obs["condition"] == "control"))
    adata[rows].copy().write_h5ad(tmp_path / "without.h5ad")
    ended = cellwright("perturb", tmp_path / "without.h5ad", *KEYS, "--hold-out", "type_2", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "the data have none of 'type_2'" in ended.sentence


def test_an_interrupted_study_ends_with_130_and_continues(cellwright, treated, tmp_path, monkeypatch):
    command = ["perturb", treated, *KEYS, *SHORT, "--hold-out", "type_1", "--out", tmp_path / "out"]
    with monkeypatch.context() as patch:
        whole_step = Engine.step

        def step(engine, *arguments):
            signal.raise_signal(signal.SIGINT)
            return whole_step(engine, *arguments)

        patch.setattr(Engine, "step", step)
        ended = cellwright(*command)
    assert (ended.code, ended.out) == (130, "")
    ended = cellwright(*command)
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[0] == "no_change without type_1 seed 0: found finished"


def test_of_real_cells_a_baseline_is_predicted_between_no_change_and_the_ceiling(cellwright, real_data, tmp_path):
    real_data("kang_ifnb_pbmc")
    keys = ["--condition-key", "condition", "--control", "control", "--label-key", "cell_type"]
    tokens = ["--models", "gene_shift_similar", "--hold-out", "NK", "--seeds", "1", "--n-top-genes", "1000"]
    ended = cellwright("perturb", "kang_ifnb_pbmc", *keys, *tokens, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "left out" in ended.err.splitlines()[0]
    board = pd.read_csv(tmp_path / "out" / "leaderboard.csv").query("metric == 'mean_r2' and group == 'NK'")
    r2 = board.set_index("model")["mean"]
    assert r2["no_change"] < r2["gene_shift_similar"] < r2["half_split"]
