"""Metrics of classification against scikit-learn, where labels are rare, never predicted, or predicted only."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from cellwright.errors import DataError
from cellwright.metrics import METRICS
from cellwright.metrics.labels import confusion

TRUE = np.array(["T", "T", "T", "T", "B", "B", "NK"])
PREDICTED = np.array(["T", "T", "B", "mast", "B", "T", "T"])
NAMES = ["accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"]
SCORES = {
    "macro_precision": reference.precision_score,
    "macro_recall": reference.recall_score,
    "macro_f1": reference.f1_score,
}


@pytest.mark.parametrize("name", SCORES)
def test_means_over_labels_are_those_of_the_reference_where_a_label_is_on_one_side_only(name):
    value = METRICS[name].function(TRUE, PREDICTED)
    assert value == pytest.approx(SCORES[name](TRUE, PREDICTED, average="macro", zero_division=0))


@pytest.mark.parametrize("name", SCORES)
def test_values_per_label_are_those_of_the_reference(name):
    expected = SCORES[name](TRUE, PREDICTED, labels=["T", "B", "NK"], average=None, zero_division=0)
    found = METRICS[name].per_label(TRUE, labels_predicted=PREDICTED)
    assert found == pytest.approx(dict(zip(["T", "B", "NK"], expected, strict=True)))


def test_balanced_accuracy_counts_only_labels_that_cells_have():
    assert METRICS["balanced_accuracy"].function(TRUE, PREDICTED) == pytest.approx((2 / 4 + 1 / 2 + 0) / 3)
    assert METRICS["macro_recall"].function(TRUE, PREDICTED) == pytest.approx((2 / 4 + 1 / 2 + 0 + 0) / 4)


def test_the_table_has_true_labels_in_rows_and_leaves_out_cells_without_one():
    table, names = confusion([*TRUE, None], [*PREDICTED, "platelet"])
    assert names == ["T", "B", "NK", "mast"]
    assert table.tolist() == [[2, 1, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_categories_of_pandas_are_compared_by_name():
    true = pd.Series(pd.Categorical(TRUE, categories=["NK", "B", "T"]))
    assert METRICS["accuracy"].function(true, PREDICTED) == METRICS["accuracy"].function(TRUE, PREDICTED) == 3 / 7


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_without_a_prediction_is_refused(name):
    with pytest.raises(DataError, match="1 of 7 are missing"):
        METRICS[name].function(TRUE, [*PREDICTED[:-1], None])


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_other_cells_are_refused(name):
    with pytest.raises(DataError, match="7 and 6 entries"):
        METRICS[name].function(TRUE, PREDICTED[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_are_one_label_whether_or_not_a_missing_value_made_floats_of_them(name):
    true = pd.Series([1, 2, np.nan, 2])
    assert METRICS[name].function(true, np.array([1, 2, 1, 2])) == 1
    assert METRICS[name].function(true.astype(np.float32), ["1", "2", "1", "2"]) == 1
