"""What classifiers said of held-out cells, pooled over the folds: every cell once, by its own split."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.report.answers import answers_of
from cellwright.report.contents import read_contents

BUILDER = runpy.run_path(str(Path(__file__).with_name("classification_folder.py")))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return BUILDER["write_classification"](tmp_path_factory.mktemp("answers") / "study")


def test_every_cell_is_answered_once_over_the_folds(study):
    found = answers_of(read_contents(study), "blood")
    assert {answers.title for answers in found} == {"logistic", "gru"}
    for answers in found:
        assert np.bincount(answers.codes).tolist() == list(BUILDER["SIZES"])
        assert answers.labels == ["T", "B", "NK"]
        assert answers.n_runs == BUILDER["FOLDS"]


def test_answers_are_those_of_the_files(study):
    answers = next(a for a in answers_of(read_contents(study), "blood") if a.title == "gru")
    parts = []
    for seed in range(BUILDER["FOLDS"]):
        run = next((study / "runs").glob(f"*-gru-*-s{seed}"))
        cells = read_h5ad(run / "cells.h5ad")
        test = (pd.read_csv(run / "split.csv")["split"] == "test").to_numpy()
        parts.append(cells[test])
    assert np.array_equal(answers.probabilities, np.concatenate([p.obsm["predicted_probabilities"] for p in parts]))
    unsure = np.concatenate([(p.obs["predicted"] == "unsure").to_numpy() for p in parts])
    assert np.array_equal(answers.answered, ~unsure)
    assert answers.has_threshold


def test_runs_without_a_split_or_without_probabilities_say_nothing(study, tmp_path):
    folder = Path(shutil.copytree(study, tmp_path / "study"))
    for path in folder.rglob("split.csv"):
        path.unlink()
    assert answers_of(read_contents(folder), "blood") == []
