"""Metrics of probabilities against closed forms, and against scikit-learn where it has them."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.answered_accuracy import answered_accuracy
from cellwright.metrics.brier import brier
from cellwright.metrics.coverage import COVERAGE, coverage
from cellwright.metrics.ece import bins_of, ece
from cellwright.metrics.log_loss import SMALLEST, log_loss

NAMES = {"ece": ece, "brier": brier, "log_loss": log_loss}


def pair(confidence, right):
    """Cells of two labels that are answered with a confidence, some of them rightly."""
    p = np.stack([confidence, 1 - np.asarray(confidence)], axis=1)
    return np.where(right, 0, 1), p


def test_the_calibration_error_is_the_gap_of_the_bins_weighted_by_their_cells():
    codes, p = pair([0.9, 0.9, 0.9, 0.9, 0.7, 0.7], [True, True, True, False, True, False])
    assert ece(codes, p) == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.2)


def test_a_model_that_is_right_as_often_as_it_says_has_a_small_calibration_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    assert ece(*pair(confidence, rng.random(20_000) < confidence)) < 0.02
    assert ece(*pair(confidence, rng.random(20_000) < confidence - 0.1)) == pytest.approx(0.1, abs=0.02)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    assert bins_of(np.array([1 / 15, 1 / 15 + 1e-9, 1.0, 0.0])).tolist() == [0, 1, 14, 0]


def test_the_brier_score_of_one_who_knows_nothing():
    codes = np.array([0, 1, 2, 3, 3])
    assert brier(codes, np.full((5, 4), 0.25)) == pytest.approx(1 - 1 / 4)
    assert brier(codes, np.eye(4)[(codes + 1) % 4]) == 2


def test_what_was_called_impossible_costs_a_finite_loss():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-np.log(SMALLEST))


@pytest.mark.parametrize("name", NAMES)
def test_cells_without_a_label_are_left_out(name):
    codes, p = pair([0.9, 0.8, 0.6], [True, False, True])
    assert NAMES[name](np.array([*codes, -1]), np.vstack([p, [0.1, 0.9]])) == NAMES[name](codes, p)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("codes", "said"),
    [([0], "there are 1 and 2"), ([-1, -1], "all 2 cells are without one"), ([0, 2], "0 to 1; one is 2")],
    ids=["length", "no label", "no column"],
)
def test_what_does_not_belong_together_is_refused(name, codes, said):
    with pytest.raises(DataError, match=said):
        NAMES[name](np.array(codes), np.full((2, 2), 0.5))


def test_coverage_and_accuracy_count_labelled_cells_only():
    true, predicted = np.array(["T", "T", "B", None], dtype=object), np.array(["T", "B", "B", "B"])
    answered = np.array([True, False, True, True])
    assert coverage(true, answered) == pytest.approx(2 / 3)
    assert answered_accuracy(true, predicted, answered) == 1
    assert answered_accuracy(true, predicted, ~answered) == 0
    assert COVERAGE.per_label(true, answered=answered) == {"T": 0.5, "B": 1.0}


def test_where_nothing_is_answered_coverage_is_zero_and_accuracy_has_no_value():
    true = np.array(["T", "B"])
    assert coverage(true, np.zeros(2, dtype=bool)) == 0
    with pytest.raises(DataError, match="of 2 none is"):
        answered_accuracy(true, true, np.zeros(2, dtype=bool))
    with pytest.raises(DataError, match="2, 2 and 3 entries"):
        answered_accuracy(true, true, np.ones(3, dtype=bool))
    with pytest.raises(DataError, match="2 and 3 entries"):
        coverage(true, np.ones(3, dtype=bool))
