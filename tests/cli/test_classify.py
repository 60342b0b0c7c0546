"""`cellwright classify`: new cells get labels of the run; and what `fit` of a classifier leaves."""

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.run import Run


@pytest.fixture
def classifier(cellwright, cells, tmp_path):
    ended = cellwright("fit", "logistic", cells, "--out", tmp_path / "run", "--label-key", "label", "--n-latent", "5")
    assert ended.code == 0, ended.err
    return tmp_path / "run"


def test_new_cells_get_labels_by_the_names_of_their_features(cellwright, classifier, simulated, tmp_path):
    rng = np.random.default_rng(0)
    order = rng.permutation(simulated.n_obs)
    new = simulated[order, rng.permutation(simulated.n_vars)].copy()
    del new.obs["label"]
    new.write_h5ad(tmp_path / "new.h5ad")
    ended = cellwright("classify", classifier, "--data", tmp_path / "new.h5ad", "--out", tmp_path / "said.h5ad")
    assert (ended.code, ended.err) == (0, "")
    said, there = read_h5ad(tmp_path / "said.h5ad"), read_h5ad(classifier / "cells.h5ad")[order]
    assert said.obs_names.tolist() == simulated.obs_names[order].tolist()
    assert said.obs["predicted"].tolist() == there.obs["predicted"].tolist()
    np.testing.assert_allclose(
        said.obsm["predicted_probabilities"], there.obsm["predicted_probabilities"], rtol=1e-4, atol=1e-6
    )
    for label, n in said.obs["predicted"].value_counts().items():
        assert f"{label} {n}" in ended.out


def test_fit_of_a_classifier_writes_its_predictions_and_no_latent(classifier, simulated):
    run = Run(classifier)
    adata = read_h5ad(classifier / "cells.h5ad")
    assert run.record.notes["predicted_key"] == "predicted"
    assert list(adata.obsm) == ["predicted_probabilities"]
    assert set(adata.obs["split"]) == {"train", "validation"}
    assert set(adata.obs["predicted"]) <= set(simulated.obs["label"])
    assert run.verify() == []


def test_a_fit_that_was_killed_before_its_cells_were_written_goes_on(cellwright, classifier, cells):
    before = read_h5ad(classifier / "cells.h5ad").obs["predicted"]
    (classifier / "cells.h5ad").unlink()
    ended = cellwright("fit", "logistic", cells, "--out", classifier, "--label-key", "label", "--n-latent", "5")
    assert ended.code == 0
    pd.testing.assert_series_equal(read_h5ad(classifier / "cells.h5ad").obs["predicted"], before)


def test_a_column_of_the_user_stays(cellwright, classifier, simulated, tmp_path):
    new = simulated.copy()
    new.obs["predicted"] = "mine"
    new.write_h5ad(tmp_path / "new.h5ad")
    assert (
        cellwright("classify", classifier, "--data", tmp_path / "new.h5ad", "--out", tmp_path / "said.h5ad").code == 0
    )
    obs = read_h5ad(tmp_path / "said.h5ad").obs
    assert set(obs["predicted"]) == {"mine"}
    assert set(obs["cellwright_predicted"]) <= set(simulated.obs["label"])


def test_a_run_that_does_not_classify_ends_with_2_and_names_those_that_do(cellwright, finished, cells, tmp_path):
    ended = cellwright("classify", finished, "--data", cells, "--out", tmp_path / "said.h5ad")
    assert (ended.code, ended.out) == (2, "")
    assert "vae cannot do `classify`" in ended.sentence
    assert "logistic" in ended.sentence


def test_a_classifier_without_labels_ends_with_2(cellwright, cells, tmp_path):
    ended = cellwright("fit", "knn", cells, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "label_key" in ended.sentence


def test_the_new_cells_are_never_written_over(cellwright, classifier, cells, digest):
    before = digest(cells)
    ended = cellwright("classify", classifier, "--data", cells, "--out", cells)
    assert ended.code == 2
    assert ended.sentence.startswith("--out must be another file than --data")
    assert digest(cells) == before


def test_an_asked_for_accuracy_chooses_the_threshold_from_the_validation_cells_of_the_run(
    cellwright, classifier, cells, tmp_path
):
    out = tmp_path / "said.h5ad"
    ended = cellwright("classify", classifier, "--data", cells, "--out", out, "--min-accuracy", "0.99", "--calibrate")
    assert ended.code == 0
    said, there = read_h5ad(out), read_h5ad(classifier / "cells.h5ad")
    threshold = said.uns["cellwright"]["threshold"]
    assert f"unsure below a probability of {threshold:.3g}" in ended.out
    unsure = said.obs["predicted"] == "unsure"
    assert (unsure == (said.obs["predicted_probability"] < threshold)).all()
    seen = (there.obs["split"] == "validation").to_numpy() & ~unsure.to_numpy()
    right = said.obs["predicted"].astype(str) == said.obs["label"].astype(str)
    assert not seen.any() or right[seen].mean() >= 0.99


def test_a_threshold_makes_unsure_cells(cellwright, classifier, cells, tmp_path):
    out = tmp_path / "said.h5ad"
    assert cellwright("classify", classifier, "--data", cells, "--out", out, "--threshold", "1").code == 0
    said = read_h5ad(out).obs
    assert ((said["predicted"] == "unsure") == (said["predicted_probability"] < 1)).all()
    assert (said["predicted"] == "unsure").any()


def test_a_threshold_beside_an_accuracy_is_refused(cellwright, classifier, cells, tmp_path):
    both = ("--threshold", "0.5", "--min-accuracy", "0.9")
    ended = cellwright("classify", classifier, "--data", cells, "--out", tmp_path / "said.h5ad", *both)
    assert ended.code == 2
    assert "--threshold must be left out where --min-accuracy chooses it" in ended.sentence


def test_a_run_without_validation_cells_cannot_choose(cellwright, cells, tmp_path):
    run = tmp_path / "run"
    options = ("--label-key", "label", "--n-latent", "5", "--validation", "0")
    assert cellwright("fit", "logistic", cells, "--out", run, *options).code == 0
    ended = cellwright("classify", run, "--data", cells, "--out", tmp_path / "said.h5ad", "--min-accuracy", "0.9")
    assert ended.code == 2
    assert "must have labelled validation cells" in ended.sentence
