"""Labels of cells: which keys, in which order, and what is scored."""

import numpy as np
import pytest
from sklearn import metrics as reference

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import AbilityError, DataError, OptionError, SchemaMismatch
from cellwright.keys import predicted_key
from cellwright.models import build
from cellwright.tasks.classify import OF_PROBABILITIES, SCORES, classify, score_classification
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells

SPLIT = random_split(200, validation=0, test=0.4)


@pytest.fixture(scope="module")
def cells():
    adata = simulate(SimulateOptions(n_obs=200, n_vars=30, n_latent=3, label_shares=(0.5, 0.3, 0.2)), seed=0).adata
    adata.obs["label"] = adata.obs["label"].cat.set_categories(["unused", *adata.obs["label"].cat.categories[::-1]])
    return adata


@pytest.fixture(scope="module")
def source(cells):
    return open_data(cells, label_key="label")


@pytest.fixture(scope="module")
def model(source):
    model = build("logistic", source.schema, n_latent=4)
    fit(model, source, split=SPLIT, progress=False)
    return model


def test_the_most_probable_label_its_probability_and_all_of_them(model, source, cells):
    adata = classify(model, source, split=SPLIT)
    probabilities = over_cells(model.classify, source)
    labels = np.array(source.schema.label.values)
    assert adata.obs_names.tolist() == cells.obs_names.tolist()
    assert adata.obs["predicted"].cat.categories.tolist() == labels.tolist()
    assert adata.obs["predicted"].tolist() == labels[probabilities.argmax(axis=1)].tolist()
    assert np.array_equal(adata.obs["predicted_probability"], probabilities.max(axis=1))
    assert np.array_equal(adata.obsm["predicted_probabilities"], probabilities)
    assert adata.obsm["predicted_probabilities"].dtype == adata.obs["predicted_probability"].dtype == np.float32
    assert adata.uns["cellwright"]["model"] == "logistic"
    assert adata.obs["split"].tolist() == SPLIT.names().tolist()


def test_the_input_stays_as_it_is(model, cells):
    before = cells.copy()
    classify(model, cells, key_added="type_said")
    assert cells.obs.equals(before.obs)
    assert list(cells.obsm) == list(before.obsm)


def test_cells_that_nobody_has_labelled_get_labels(model, cells):
    new = cells[:20].copy()
    del new.obs["label"]
    assert classify(model, new).obs["predicted"].notna().all()


@pytest.mark.parametrize("column", ["predicted", "predicted_probability"])
def test_a_column_of_the_user_is_not_written_over(model, cells, column):
    named = cells.copy()
    named.obs[column] = "mine"
    with pytest.raises(OptionError, match="Choose another key_added"):
        classify(model, named)
    assert predicted_key(named.obs.columns) == "cellwright_predicted"
    assert predicted_key(cells.obs.columns) == "predicted"


def test_scores_are_those_of_the_predicted_labels_of_these_rows(model, source, cells):
    table = score_classification(model, source, SPLIT.test, held_out=True, seed=3)
    said = classify(model, source).obs["predicted"].astype(str).to_numpy()[SPLIT.test]
    true = cells.obs["label"].astype(str).to_numpy()[SPLIT.test]
    overall = table[table["group"] == ""].set_index("metric")["value"]
    assert list(overall.index) == [*SCORES, *OF_PROBABILITIES]
    assert overall["accuracy"] == pytest.approx(reference.accuracy_score(true, said))
    assert overall["macro_f1"] == pytest.approx(reference.f1_score(true, said, average="macro"))
    assert set(table["task"]) == {"classify"}
    assert (table["held_out"].all(), set(table["seed"])) == (True, {3})
    of_one = table[(table["group"] == true[0]) & (table["metric"] == "macro_recall")]["value"].item()
    assert of_one == pytest.approx((said == true)[true == true[0]].mean())


def test_unlabelled_rows_are_left_out_and_without_any_label_there_is_no_score(model, cells):
    unlabelled = cells.copy()
    unlabelled.obs.loc[unlabelled.obs_names[:50], "label"] = np.nan
    source = open_data(unlabelled, schema=model.schema)
    rows = np.arange(100)
    first = score_classification(model, source, rows, held_out=True)
    again = score_classification(model, source, rows[50:], held_out=True)
    assert first.equals(again)
    assert score_classification(model, source, rows[:50], held_out=True).empty


def test_a_model_that_cannot_and_one_that_was_not_fitted_are_refused(source):
    with pytest.raises(AbilityError, match="logistic"):
        classify(build("pca", source.schema), source)
    with pytest.raises(DataError, match="was not trained"):
        classify(build("logistic", source.schema), source)


def test_a_source_whose_labels_have_other_codes_is_refused(model, cells):
    renamed = cells.copy()
    renamed.obs["label"] = renamed.obs["label"].cat.remove_unused_categories().cat.rename_categories(lambda c: f"x{c}")
    with pytest.raises(
        SchemaMismatch, match=r"label categories that logistic was trained with, .*schema=model\.schema"
    ):
        score_classification(model, open_data(renamed, label_key="label"), SPLIT.test, held_out=True)
