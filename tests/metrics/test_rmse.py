import numpy as np
import pytest

from cellwright.metrics.rmse import rmse


def test_a_constant_error_is_returned_as_it_is():
    x_true = np.random.default_rng(0).normal(size=(5, 4))
    assert rmse(x_true, x_true - 2.5) == pytest.approx(2.5)


def test_hidden_entries_may_be_given_as_a_vector():
    # sqrt((9 + 16) / 2)
    assert rmse(np.array([0.0, 0.0]), np.array([3.0, -4.0])) == pytest.approx(np.sqrt(12.5))
