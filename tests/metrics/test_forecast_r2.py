"""A worked example of forecast_r2; the contract compares it with scikit-learn's."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.forecast_r2 import forecast_r2

CAME = np.array([[0.0, 2.0], [4.0, np.nan]])


def test_the_mean_of_each_step_scores_zero_and_what_came_one():
    assert forecast_r2(CAME, np.array([[2.0, 2.0], [2.0, 9.0]])) == 0
    assert forecast_r2(CAME, CAME) == 1
    assert forecast_r2(CAME, np.array([[1.0, 2.0], [1.0, 9.0]])) == pytest.approx(1 - 10 / 8)


def test_a_single_row_has_no_spread_to_explain():
    with pytest.raises(DataError, match="a step at which rows differ"):
        forecast_r2(CAME[:1], CAME[:1])
