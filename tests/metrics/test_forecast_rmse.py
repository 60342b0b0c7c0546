"""A worked example of forecast_rmse; the contract compares it with scikit-learn's."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.forecast_rmse import forecast_rmse

CAME = np.array([[0.0, 2.0], [4.0, np.nan]])


def test_the_root_of_the_mean_of_the_squares_of_what_was_measured():
    assert forecast_rmse(CAME, np.array([[1.0, 2.0], [1.0, 9.0]])) == pytest.approx(np.sqrt((1 + 0 + 9) / 3))


def test_nothing_measured_is_refused():
    with pytest.raises(DataError, match="Hide fewer steps"):
        forecast_rmse(CAME * np.nan, CAME)
