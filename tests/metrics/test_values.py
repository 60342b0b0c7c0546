import numpy as np
import pytest

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.values import checked_pair


@pytest.mark.parametrize(
    ("x_true", "x_predicted", "error"),
    [
        pytest.param(np.zeros((2, 3)), np.zeros((3, 2)), DataError, id="transposed"),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 3)), DataError, id="empty"),
        pytest.param(np.array([np.nan]), np.zeros(1), UnsuitableValues, id="NaN in the true values"),
        pytest.param(np.zeros(1), np.array([np.inf]), UnsuitableValues, id="infinity in the prediction"),
    ],
)
def test_values_that_cannot_be_compared_are_refused(x_true, x_predicted, error):
    with pytest.raises(error, match="x_"):
        checked_pair(x_true, x_predicted)
