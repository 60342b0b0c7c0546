"""`cellwright score`: the metrics of a run, printed and added to its table."""

import pytest
from anndata import read_h5ad
from sklearn.metrics import adjusted_rand_score

from cellwright.run import Run


@pytest.fixture
def clustered(cellwright, finished, without_umap):
    assert cellwright("cluster", finished, "--n-clusters", "3").code == 0
    return finished


def test_the_scores_printed_are_those_of_the_run_and_of_scikit_learn(cellwright, clustered):
    ended = cellwright("score", clustered, "--label-key", "label", "--metrics", "ari,nmi")
    printed = {row[0]: row[1] for row in map(str.split, ended.out.splitlines()[1:])}
    table = Run(clustered).table("scores.csv").query("group == ''").set_index("metric")["value"]
    obs = read_h5ad(clustered / "cells.h5ad").obs
    assert (ended.code, ended.err) == (0, "")
    assert table["ari"] == pytest.approx(adjusted_rand_score(obs["label"], obs["cluster"]))
    assert printed == {name: f"{value:.4f}" for name, value in table.items()}


def test_scoring_again_replaces_the_scores(cellwright, clustered):
    for _ in range(2):
        assert cellwright("score", clustered, "--label-key", "label").code == 0
    scores = Run(clustered).table("scores.csv")
    assert not scores.duplicated(["task", "metric", "group", "held_out", "seed"]).any()
    assert Run(clustered).verify() == []


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        pytest.param(["--label-key", "lable"], "Did you mean 'label'?", id="label key"),
        pytest.param(["--label-key", "label", "--metrics", "arii"], "Did you mean 'ari'?", id="metric"),
        pytest.param(["--label-key", "label", "--cluster-key", "clustre"], "Did you mean 'cluster'?", id="cluster key"),
    ],
)
def test_a_misspelt_name_ends_with_2(cellwright, clustered, tokens, said):
    ended = cellwright("score", clustered, *tokens)
    assert ended.code == 2
    assert ended.sentence.endswith(said)


def test_a_run_without_clusters_is_told_how_to_get_them(cellwright, finished):
    ended = cellwright("score", finished, "--label-key", "label")
    assert ended.code == 2
    assert ended.sentence.endswith(f"Make them: cellwright cluster {finished}")
