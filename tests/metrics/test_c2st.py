"""What no classifier can tell scores one half, what every classifier can tell scores 1."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.c2st import c2st, recalls


def normal(n_obs, seed, n_vars=8):
    return np.random.default_rng(seed).normal(size=(n_obs, n_vars))


def test_two_halves_of_one_sample_cannot_be_told_apart():
    """Over 10 samples the mean of the recalls is one half; its standard error is about .5 / sqrt(10 * 400)."""
    found = [np.mean(list(recalls(normal(200, seed), normal(200, 100 + seed)).values())) for seed in range(10)]
    assert abs(np.mean(found) - 0.5) < 4 * 0.5 / np.sqrt(10 * 400)
    assert c2st(normal(200, 0), normal(200, 100)) >= 0.5


def test_a_large_shift_is_always_told():
    assert c2st(normal(100, 0), normal(100, 1) + 5) > 0.99


def test_the_logistic_regression_reaches_the_best_accuracy_for_a_shift():
    """Of two Gaussians a distance d apart the best classifier is right with probability Phi(d / 2); .841 for 2."""
    shift = np.zeros(8)
    shift[0] = 2
    found = recalls(normal(1000, 0), normal(1000, 1) + shift)["logistic"]
    assert np.mean(found) == pytest.approx(0.841, abs=4 * np.sqrt(0.841 * 0.159 / 2000))


def test_another_spread_is_seen_by_the_trees_only():
    found = recalls(normal(600, 0), 0.4 * normal(600, 1))
    assert np.mean(found["logistic"]) < 0.56
    assert np.mean(found["boosting"]) > 0.85


def test_copies_of_one_cell_are_recognised_and_the_sides_need_not_be_of_one_size():
    real = normal(200, 0)
    copies = np.tile(real[3], (40, 1))
    shares = recalls(real, copies)
    assert shares["boosting"][1] == 1.0
    assert shares["boosting"][0] > 0.9
    assert c2st(real, copies) == pytest.approx(np.mean(list(shares.values())))


def test_cells_that_are_all_equal_cannot_be_told_apart():
    assert c2st(np.ones((20, 3)), np.ones((15, 3))) == 0.5


def test_few_cells_are_refused_in_a_sentence():
    with pytest.raises(DataError, match="c2st needs at least 10 cells on either side; x_generated has 9"):
        c2st(normal(20, 0), normal(9, 1))
