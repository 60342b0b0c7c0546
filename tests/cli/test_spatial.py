"""`cellwright spatial`: a study in a folder, its page, and what is refused in one sentence."""

import runpy
from pathlib import Path

import pytest

tissue = runpy.run_path(str(Path(__file__).parents[1] / "study" / "test_spatial.py"))["tissue"]


@pytest.fixture
def cells(tmp_path):
    tissue().write_h5ad(tmp_path / "tissue.h5ad")
    return tmp_path / "tissue.h5ad"


def test_a_study_is_run_and_shown(cellwright, cells, tmp_path):
    out = tmp_path / "study"
    ended = cellwright(
        "spatial", cells, "--label-key", "region", "--batch-key", "section", "--coordinates-key", "spatial",
        "--models", "pca_smoothed:n_latent=3", "--baseline-width", 4, "--seeds", 1, "--n-permutations", 99,
        "--kind", "delaunay", "--out", out,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert (out / "leaderboard.csv").is_file()
    page = (out / "report.html").read_text()
    assert "Domains in the tissue" in page
    assert "What lies side by side" in page
    assert "pca_smoothed" in ended.out
    assert "domains, ARI" in ended.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "must have the places of the cells"),
        (["--coordinates-key", "nowhere"], "nowhere"),
        (["--coordinates-key", "spatial", "--kind", "radius"], "radius"),
        (["--coordinates-key", "spatial", "--models", "gene_mean"], "cannot find domains"),
    ],
    ids=["no places", "no such key", "no radius", "no latent"],
)
def test_what_is_wrong_is_said_in_one_sentence(cellwright, cells, tmp_path, flags, said):
    ended = cellwright("spatial", cells, *flags, "--out", tmp_path / "study")
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.strip().count("\n") == 0
