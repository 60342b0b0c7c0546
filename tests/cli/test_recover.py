"""`recover`: the answer on the terminal, the folder, the page; one sentence for what cannot be."""

import pandas as pd

FAST = "knn_smoothing:n_neighbors=5:own_weight=1:n_latent=5,knn_gamma:n_neighbors=5:n_latent=5,svd:rank=3,alra:rank=3,magic:n_steps=2:n_latent=5"  # noqa: E501


def test_the_answer_comes_first_then_the_table_and_the_page(cellwright, cells, tmp_path):
    out = tmp_path / "study"
    tokens = ["--models", FAST, "--seeds", "1", "--exams", "molecules,permuted", "--label-key", "label"]
    ended = cellwright("recover", cells, "--out", out, *tokens)
    assert ended.code == 0
    first = ended.out.splitlines()[0]
    best = pd.read_csv(out / "recommendation.csv").query("is_recommended")["model"]
    assert first.startswith(f"Use {best.iloc[0]}" if len(best) else "No imputation can be recommended")
    assert "deviance" in ended.out
    assert (out / "report.html").exists()
    assert len(ended.err.splitlines()) == 7  # a line a run: five, and the two that no option makes faster


def test_what_does_not_impute_or_is_no_file_is_one_sentence(cellwright, cells, tmp_path):
    ended = cellwright("recover", cells, "--out", tmp_path / "study", "--models", "pca")
    assert (ended.code, "pca cannot impute" in ended.sentence) == (2, True)
    ended = cellwright("recover", cells, "--out", tmp_path / "study", "--models", FAST, "--proteins", "absent.h5ad")
    assert (ended.code, "absent.h5ad" in ended.sentence) == (2, True)
    assert not (tmp_path / "study").exists()
