"""`integrate`: the answer on the terminal, the folder, the page; one sentence for what cannot be."""

import pandas as pd
import pytest

FAST = "mmd_vae:n_latent=3,pca:n_latent=3,pca_unscaled:n_latent=3,pca_centred:n_latent=3,harmony:n_latent=3"


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    monkeypatch.setattr("cellwright.study.integrate_scores.embed", lambda adata, use_rep: None)


def test_the_answer_comes_first_then_the_table_and_the_page(cellwright, cells, tmp_path):
    out = tmp_path / "study"
    tokens = ["--models", FAST, "--seeds", "1", "--batch-key", "batch", "--label-key", "label", "--max-epochs", "2"]
    ended = cellwright("integrate", cells, "--out", out, *tokens)
    assert ended.code == 0
    first = ended.out.splitlines()[0]
    best = pd.read_csv(out / "recommendation.csv").query("is_recommended")["model"]
    assert best.iloc[0] in first
    assert {"total", "bio", "batch", "iLISI"} <= {word for line in ended.out.splitlines() for word in line.split()}
    assert (out / "report.html").exists()
    assert len(ended.err.splitlines()) == 5  # a line a run


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        pytest.param([], "--batch-key", id="no-batch-key"),
        pytest.param(["--batch-key", "absent"], "absent", id="batch-key-not-there"),
        pytest.param(["--batch-key", "batch", "--models", "gan"], "gan cannot integrate", id="does-not-encode"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_folder(cellwright, cells, tmp_path, tokens, said):
    ended = cellwright("integrate", cells, "--out", tmp_path / "study", *tokens)
    assert (ended.code, said in ended.sentence) == (2, True)
    assert not (tmp_path / "study").exists()
