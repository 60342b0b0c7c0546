import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics import variance_error as module
from cellwright.metrics.variance_error import LARGEST, variance_error

REAL = np.random.default_rng(0).normal(size=(50, 4))


def test_known_factors_give_the_mean_of_their_logarithms():
    factors = np.array([2.0, 0.5, 3.0, 1.0])  # of the standard deviations
    expected = np.abs(2 * np.log(factors)).mean()
    assert variance_error(REAL, REAL * factors + 7) == pytest.approx(expected)


def test_too_little_and_too_much_count_alike():
    assert variance_error(REAL, REAL * 2) == pytest.approx(variance_error(REAL, REAL / 2))


def test_a_feature_that_is_constant_counts_as_a_factor_of_1000():
    generated = REAL * np.array([1, 1, 1, 0])
    assert variance_error(REAL, generated) == pytest.approx(LARGEST / 4)
    assert pytest.approx(np.log(1000)) == LARGEST


def test_a_feature_that_is_constant_among_the_real_cells_is_left_out():
    assert variance_error(REAL * np.array([1, 1, 1, 0]), REAL) == pytest.approx(0)


def test_only_the_features_that_vary_most_count(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_FEATURES", 2)
    real = REAL * np.array([1, 9, 8, 1])
    assert variance_error(real, real * np.array([5, 1, 2, 5])) == pytest.approx(np.log(4) / 2)


def test_real_cells_that_do_not_vary_are_refused_in_a_sentence():
    with pytest.raises(DataError, match="variance_error needs real cells that differ"):
        variance_error(np.ones((5, 3)), REAL[:, :3])
