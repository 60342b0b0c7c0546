"""`cellwright translate`: the wanted modality of every cell, in a file that anndata opens."""

import numpy as np
import pytest
from anndata import AnnData, read_h5ad

QUICK = ["--max-epochs", "2", "--n-latent", "3", "--n-hidden", "16"]


@pytest.fixture
def parts(simulated, tmp_path):
    """Two files, the second without the first ten cells; and how the command line names them."""
    simulated.write_h5ad(tmp_path / "rna.h5ad")
    protein = AnnData(simulated.X[:, :5].toarray(), obs=simulated.obs)
    protein.var_names = [f"p{i}" for i in range(5)]
    protein[10:].write_h5ad(tmp_path / "protein.h5ad")
    return f"rna={tmp_path / 'rna.h5ad'},protein={tmp_path / 'protein.h5ad'}"


@pytest.fixture
def run(cellwright, parts, tmp_path):
    keys = ["--label-key", "label", "--batch-key", "batch"]
    ended = cellwright("fit", "multimodal_vae", parts, "--out", tmp_path / "run", *keys, *QUICK)
    assert ended.code == 0
    assert ended.out.startswith("multimodal_vae: 120 cells x 40 + 5 features in ")
    return tmp_path / "run"


def test_a_modality_is_written_for_all_cells_and_the_saying_counts_them(cellwright, run, parts, tmp_path):
    out = tmp_path / "protein-of-all.h5ad"
    ended = cellwright("translate", run, "--data", parts, "--to", "protein", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip() == (
        f"multimodal_vae: protein of 120 cells x 5 features (120 from rna) -> {out}".replace("\n", "")
    )
    cells = read_h5ad(out)
    assert cells.shape == (120, 5)
    assert np.isfinite(cells.X).all()
    assert list(cells.var_names) == [f"p{i}" for i in range(5)]


def test_rna_of_cells_with_nothing_else_is_unknown(cellwright, run, parts, tmp_path):
    out = tmp_path / "rna-of-all.h5ad"
    ended = cellwright("translate", run, "--data", parts, "--to", "rna", "--out", out, "--draw")
    assert "(110 from protein, 10 from nothing)" in ended.out.replace("\n", " ")
    assert np.isnan(read_h5ad(out).X).any(axis=1).sum() == 10


@pytest.mark.parametrize(
    ("to", "out", "sentence"),
    [
        ("proteins", "new.h5ad", "the modality must be one of rna, protein; it is 'proteins'. Did you mean 'protein'"),
        ("protein", "rna.h5ad", "--out must be another file than --data"),
    ],
    ids=["no such modality", "the input"],
)
def test_what_cannot_be_done_is_said(cellwright, run, parts, tmp_path, to, out, sentence):
    ended = cellwright("translate", run, "--data", parts, "--to", to, "--out", tmp_path / out)
    assert ended.code == 2
    assert sentence in ended.sentence


def test_a_comparison_of_several_modalities_stands_beside_its_baselines(cellwright, parts, tmp_path):
    small = "multimodal_vae:n_hidden=16:n_latent=3"
    ended = cellwright(
        "compare", parts, "--models", small, "--seeds", "1", "--label-key", "label", "--max-epochs", "2",
        "--out", tmp_path / "study",
    )  # fmt: skip
    assert ended.code == 0
    board = (tmp_path / "study" / "leaderboard.csv").read_text()
    for name in ("joint_pca", "knn_translation", "multimodal_vae"):
        assert f"{name}," in board
    assert "feature_pearson" in board
    # a table of its own on the terminal, best first
    head, *rows = ended.out.split("Translate:\n")[1].splitlines()[:4]
    assert head.split("  ")[0] == "model"
    assert "rna from the others" in head
    assert {row.split()[0] for row in rows} == {"joint_pca", "knn_translation", "multimodal_vae"}
    assert (tmp_path / "study" / "report.html").exists()
