"""Order in time is Spearman's correlation, of the cells whose time is known."""

import numpy as np
import pytest
from scipy import stats

from cellwright.errors import DataError
from cellwright.metrics.time_order import TIME_ORDER, time_order


def test_it_is_scipys_correlation_of_ranks():
    rng = np.random.default_rng(0)
    time = rng.integers(0, 5, 60).astype(float)
    pseudotime = time + rng.normal(size=60)
    assert time_order(pseudotime, time) == pytest.approx(stats.spearmanr(pseudotime, time).statistic)


def test_the_scale_of_pseudotime_does_not_matter_and_its_direction_does():
    time = np.arange(30.0)
    assert time_order(np.exp(time), time) == pytest.approx(1)
    assert time_order(-time, time) == pytest.approx(-1)


def test_cells_without_a_time_are_left_out_and_cells_out_of_reach_are_last():
    time = np.array([0.0, 1, 2, 3, np.nan])
    assert time_order(np.array([0.1, 0.2, 0.3, np.inf, 0.0]), time) == pytest.approx(1)
    assert time_order(np.array([np.inf, 0.1, 0.2, 0.3, 0.0]), time) < 0


def test_one_pseudotime_for_all_says_nothing():
    assert time_order(np.ones(4), np.arange(4.0)) == 0


@pytest.mark.parametrize(
    ("pseudotime", "time", "said"),
    [
        pytest.param(np.arange(3.0), np.array([1.0, 1.0, np.nan]), "two times", id="one-time"),
        pytest.param(np.arange(3.0), np.arange(4.0), "the same cells", id="other-cells"),
    ],
)
def test_what_has_no_order_is_refused(pseudotime, time, said):
    with pytest.raises(DataError, match=said):
        time_order(pseudotime, time)


def test_within_a_label_it_is_the_order_of_the_cells_of_that_label():
    """Which need not be that of all: here the labels follow each other, and within the second time runs backwards."""
    time = np.arange(20.0)
    labels = np.repeat(["first", "second"], 10)
    pseudotime = np.where(labels == "first", time, 100 - time)
    by_label = TIME_ORDER.per_label(labels, pseudotime=pseudotime, time=time)
    assert by_label == pytest.approx({"first": 1, "second": -1})
    assert time_order(pseudotime, time) > 0.4


def test_a_label_whose_cells_have_one_time_has_no_value():
    labels, time = np.repeat(["first", "second"], 5), np.array([0.0] * 5 + [1, 2, 3, 4, 5])
    by_label = TIME_ORDER.per_label(labels, pseudotime=np.arange(10.0), time=time)
    assert by_label == pytest.approx({"first": np.nan, "second": 1}, nan_ok=True)
