import numpy as np
import pytest

from cellwright.metrics import METRICS
from cellwright.metrics.metric import within_labels
from cellwright.metrics.rmse import rmse


def test_within_labels_evaluates_on_the_cells_of_each_label():
    x_true, x_predicted = np.zeros((4, 2)), np.array([[1.0, 1], [3, 3], [2, 2], [9, 9]])
    by_label = within_labels(rmse)(labels_true=["T", "B", "T", None], x_true=x_true, x_predicted=x_predicted)
    # sqrt((1 + 1 + 4 + 4) / 4) over the T cells
    assert by_label == pytest.approx({"T": np.sqrt(2.5), "B": 3.0})


def test_a_label_for_which_a_metric_is_not_defined_is_nan():
    x_true = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]])
    by_label = METRICS["r2"].per_label(["T", "T", "B"], x_true=x_true, x_predicted=x_true)
    assert all(np.isnan(value) for value in by_label.values())


def test_a_metric_that_means_nothing_within_a_label_has_no_values():
    assert METRICS["ari"].per_label(["T", "B"], clusters=[0, 1]) == {}
