"""The interval of a mean is Student's; the table has one row per measure."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellwright.study.statistics import LEADERBOARD_COLUMNS, interval, summarise


def test_the_interval_is_that_of_a_one_sample_t_test():
    values = np.array([0.70, 0.74, 0.78, 0.71])
    mean, sd, low, high = interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, sd) == (pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)))
    assert (low, high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_single_value_has_no_interval():
    mean, sd, low, high = interval(np.array([0.5]))
    assert mean == 0.5
    assert all(math.isnan(bound) for bound in (sd, low, high))


def test_95_percent_of_intervals_hold_the_true_mean():
    rng = np.random.default_rng(0)
    hits = [low <= 0 <= high for _, _, low, high in (interval(rng.normal(size=3)) for _ in range(4000))]
    # four standard errors of a share of 0.95 over 4,000 trials
    assert abs(np.mean(hits) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_a_row_per_measure_and_nan_values_left_out():
    base = {"data": "d", "model": "m", "setting": "", "task": "cluster", "metric": "ari", "better": "higher"}
    base |= {"group": "", "held_out": False, "is_baseline": False, "peak_bytes": 10}
    scores = pd.DataFrame(
        [base | {"value": value, "seconds": seconds} for value, seconds in [(0.5, 1.0), (0.7, 3.0), (math.nan, 2.0)]]
    )
    board = summarise(scores)
    assert board.columns.tolist() == LEADERBOARD_COLUMNS
    assert board[["mean", "n_seeds", "seconds", "status"]].values.tolist() == [[pytest.approx(0.6), 2, 2.0, "done"]]
