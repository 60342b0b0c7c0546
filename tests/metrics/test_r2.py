import numpy as np
import pytest
from sklearn.metrics import r2_score

from cellwright.errors import DataError
from cellwright.metrics.r2 import r2


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    x_true = rng.normal(size=(50, 6)) * np.arange(1, 7) + 10
    return x_true, x_true + rng.normal(size=(50, 6))


def test_equals_scikit_learns_r2_weighted_by_variance(values):
    assert r2(*values) == pytest.approx(r2_score(*values, multioutput="variance_weighted"))


def test_is_zero_for_the_mean_of_each_feature(values):
    x_true, _ = values
    assert r2(x_true, np.broadcast_to(x_true.mean(axis=0), x_true.shape)) == pytest.approx(0, abs=1e-12)


def test_errors_on_a_constant_feature_count():
    x_true = np.array([[0.0, 1.0], [0.0, 3.0]])
    # SSE is 2 * 1 on the constant feature, SST is 2 * 1 on the other
    assert r2(x_true, x_true + np.array([1.0, 0.0])) == pytest.approx(0)


def test_a_wrong_offset_is_not_forgiven(values):
    x_true, _ = values
    assert r2(x_true, x_true + 100) < -1


def test_values_that_do_not_vary_are_refused():
    with pytest.raises(DataError, match="vary"):
        r2(np.ones((3, 2)), np.zeros((3, 2)))
