"""Control, treated and predicted cells are checked before they are compared."""

import numpy as np
import pytest

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.responses import check_cells, mean_profiles

CELLS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param(CELLS[:, :2], r"their shapes are \(4, 3\) and \(4, 2\)", id="fewer features"),
        pytest.param(CELLS[:, :0], r"their shapes are \(4, 3\) and \(4, 0\)", id="no features"),
        pytest.param(CELLS[0], r"their shapes are \(4, 3\) and \(3,\)", id="one profile"),
        pytest.param(CELLS[:1], "the metric needs at least 2 cells in x_predicted; it has 1", id="one cell"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(other, said):
    with pytest.raises(DataError, match=said):
        check_cells("the metric", 2, x_treated=CELLS, x_predicted=other)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(UnsuitableValues, match="x_predicted must be finite"):
        check_cells("the metric", 1, x_treated=CELLS, x_predicted=np.where(CELLS == 5, value, CELLS))


def test_mean_profiles_are_exact_for_single_precision():
    small = np.full((10_000, 1), 0.1, dtype=np.float32)
    (profile,) = mean_profiles("the metric", x_treated=small)
    assert profile.dtype == np.float64
    assert profile[0] == pytest.approx(np.float64(np.float32(0.1)), rel=1e-12)
