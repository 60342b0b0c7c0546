"""`cellwright augment`: what it prints and leaves, what it refuses, and how it continues."""

import pandas as pd
import pytest

SHORT = ["--models", "vae:n_latent=3:n_hidden=8", "--classifiers", "knn", "--max-epochs", "1", "--seeds", "1"]
KEYS = ["--label-key", "label"]


def test_the_answer_comes_first_then_the_table_and_the_page(cellwright, cells, tmp_path):
    command = ["augment", cells, *KEYS, *SHORT, "--target", "30", "--out", tmp_path / "out"]
    ended = cellwright(*command)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith("Generated cells of rare classes ")
    assert lines[1].endswith("were raised to 30.")
    board = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    plain = board[(board["model"] == "knn") & board["setting"].isna() & board["group"].isna()].set_index("metric")[
        "mean"
    ]
    row = next(line for line in lines if line.startswith("knn (baseline)"))
    assert f" {plain['macro_f1']:.3f} " in row
    assert "one seed, so no interval" in lines
    assert lines[-1] == f"per class and more: {tmp_path / 'out' / 'report.html'}"
    assert "Added cells" in (tmp_path / "out" / "report.html").read_text()
    assert any(line.startswith("knn added=smote seed 0: ") for line in ended.err.splitlines())
    again = cellwright(*command)
    assert {line.rsplit(": ", 1)[1] for line in again.err.splitlines()} == {"found finished"}
    assert again.out == ended.out


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["--label-key", "lable"], "Did you mean 'label'?"),
        ([], "label_key of an augmentation study must name the classes"),
        ([*KEYS, "--models", "pca"], "must have the ability 'generates'; pca lacks it"),
        ([*KEYS, "--classifiers", "vae"], "must have the ability 'classifies'; vae lacks it"),
        ([*KEYS, "--balance", "under"], "must add cells: over or smote"),
        ([*KEYS, "--target", "2"], "so there is nothing to add. Give a larger target"),
        ([*KEYS, "--test", "0"], "test"),
    ],
    ids=["no such key", "no key", "no generator", "no classifier", "remedy", "nothing rare", "nothing held out"],
)
def test_bad_use_ends_with_2_and_one_sentence(cellwright, cells, tmp_path, tokens, sentence):
    ended = cellwright("augment", cells, *tokens, "--out", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.sentence
    assert not (tmp_path / "out").exists()
