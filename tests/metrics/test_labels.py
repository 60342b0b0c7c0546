import numpy as np
import pandas as pd
import pytest

from cellwright.errors import DataError
from cellwright.metrics.labels import codes_of, contingency

SAME = {
    "list": ["T", None, "B", "T"],
    "array": np.array(["T", None, "B", "T"], dtype=object),
    "series": pd.Series(["T", None, "B", "T"], index=[5, 5, 7, 8]),
    "categorical": pd.Categorical(["T", None, "B", "T"], categories=["B", "unused", "T"]),
    "numbers": np.array([3.0, np.nan, 1.0, 3.0]),
}


@pytest.mark.parametrize("labels", SAME.values(), ids=SAME.keys())
def test_labels_of_every_kind_give_the_same_codes(labels):
    codes, names = codes_of(labels, "labels_true")
    np.testing.assert_array_equal(codes, [0, -1, 1, 0])
    assert len(names) == 2


def test_contingency_counts_labelled_cells_by_label_and_cluster():
    table, names = contingency(["T", "T", None, "B", "T"], ["1", "0", "2", "0", "1"])
    assert names == ["T", "B"]
    np.testing.assert_array_equal(table, [[2, 1], [0, 1]])


def test_no_label_at_all_is_refused():
    with pytest.raises(DataError, match="labels_true must hold at least one label; all 2 are missing"):
        codes_of([None, np.nan], "labels_true")


def test_a_cell_without_a_cluster_is_refused():
    with pytest.raises(DataError, match="1 of 2 are missing"):
        contingency(["T", "B"], ["0", None])


def test_labels_and_clusters_of_different_cells_are_refused():
    with pytest.raises(DataError, match="2 and 3 entries"):
        contingency(["T", "B"], [0, 1, 1])
