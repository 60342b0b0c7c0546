import numpy as np
import pytest
from scipy.stats import pearsonr

from cellwright.errors import DataError
from cellwright.metrics.pearson import pearson


def test_equals_scipy_over_all_entries():
    rng = np.random.default_rng(0)
    x_true, x_predicted = rng.normal(size=(2, 30, 4))
    assert pearson(x_true, x_predicted) == pytest.approx(pearsonr(x_true.ravel(), x_predicted.ravel()).statistic)


@pytest.mark.parametrize(("slope", "expected"), [(3.0, 1.0), (-3.0, -1.0)], ids=["rising", "falling"])
def test_a_line_reaches_the_bound(slope, expected):
    x_true = np.random.default_rng(0).normal(size=(5, 4))
    assert pearson(x_true, slope * x_true + 7) == pytest.approx(expected)


@pytest.mark.parametrize("constant", ["x_true", "x_predicted"])
def test_a_constant_side_is_refused(constant):
    values = {"x_true": np.arange(4.0), "x_predicted": np.arange(4.0)} | {constant: np.full(4, 0.1)}
    with pytest.raises(DataError, match=f"all of {constant} are 0.1"):
        pearson(**values)
