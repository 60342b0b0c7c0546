"""`cellwright trajectory`: a study in a folder, its page, and what is refused in one sentence."""

import numpy as np
import pytest

from cellwright.data.simulate import SimulateOptions, simulate

FORK = SimulateOptions(n_obs=200, n_vars=40, n_latent=3, n_branches=2, label_shares=(0.4, 0.3, 0.3), label_distance=8)


def places(adata, use_rep):
    adata.obsm[f"{use_rep}_umap"] = np.asarray(adata.obsm[use_rep])[:, :2]


@pytest.fixture
def cells(tmp_path):
    adata = simulate(FORK, seed=0).adata
    adata.obs["known"] = adata.obs["label"].astype(str)
    adata.write_h5ad(tmp_path / "fork.h5ad")
    return tmp_path / "fork.h5ad"


def test_a_study_is_run_and_shown(cellwright, cells, tmp_path, monkeypatch):
    monkeypatch.setattr("cellwright.study.trajectory_scores.embed", places)
    out = tmp_path / "study"
    ended = cellwright(
        "trajectory", cells, "--label-key", "label", "--time-key", "time", "--branch-key", "known",
        "--orders", "trunk<branch_1", "--models", "pca:n_latent=4,pca_unscaled:n_latent=4",
        "--seeds", 1, "--terminal", "branch_1,branch_2", "--out", out,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert (out / "leaderboard.csv").is_file()
    page = (out / "report.html").read_text()
    assert "Order, branches and fates" in page
    assert "Features that change along each lineage" in page
    assert "order in time" in ended.out
    assert "branches, F1" in ended.out
    assert "trunk<branch_1:" in ended.out
    assert "in that order" in ended.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--root", "trank", "--label-key", "label"], "Did you mean 'trunk'"),
        (["--terminal", "branch_9", "--label-key", "label"], "'branch_9' is none"),
        (["--transitions", "transport"], "no time_key is given"),
        (["--time-key", "known"], "must hold numbers"),
        (["--min-length", "1.5"], "min_length"),
        (["--models", "gene_mean"], "cannot give a trajectory"),
        (["--label-key", "label", "--orders", "trunk"], "two different labels"),
    ],
    ids=["root", "end", "no time", "time of text", "out of bounds", "no latent", "order of one"],
)
def test_what_is_wrong_is_said_in_one_sentence(cellwright, cells, tmp_path, flags, said):
    ended = cellwright("trajectory", cells, *flags, "--out", tmp_path / "study")
    assert ended.code == 2
    assert said in ended.sentence
    assert not (tmp_path / "study").exists()
