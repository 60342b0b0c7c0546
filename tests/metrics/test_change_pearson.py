import numpy as np
import pytest
from scipy.stats import pearsonr

from cellwright.errors import DataError
from cellwright.metrics.change_pearson import change_pearson

RNG = np.random.default_rng(0)
CONTROL = RNG.gamma(1.0, size=(40, 30))
TREATED = RNG.gamma(1.0, size=(35, 30)) + RNG.normal(size=30)
PREDICTED = TREATED[:20] + RNG.normal(size=(20, 30))


def test_equals_scipys_correlation_of_the_changes_of_means():
    control = CONTROL.mean(axis=0)
    expected = pearsonr(TREATED.mean(axis=0) - control, PREDICTED.mean(axis=0) - control).statistic
    assert change_pearson(CONTROL, TREATED, PREDICTED) == pytest.approx(expected, abs=1e-12)


def test_no_change_scores_zero():
    assert change_pearson(CONTROL, TREATED, CONTROL) == 0


def test_half_of_the_change_scores_one_and_the_opposite_change_minus_one():
    change = TREATED.mean(axis=0) - CONTROL.mean(axis=0)
    assert change_pearson(CONTROL, TREATED, CONTROL + change / 2) == pytest.approx(1)
    assert change_pearson(CONTROL, TREATED, CONTROL - change) == pytest.approx(-1)


def test_a_treatment_that_changes_nothing_is_refused_in_a_sentence():
    with pytest.raises(DataError, match="needs a change that differs between features; that of x_treated is 0"):
        change_pearson(CONTROL, CONTROL, PREDICTED)


@pytest.mark.parametrize("n_control", [30, 1000])
def test_the_control_mean_without_its_noise_scores_above_zero_though_it_knows_no_response(n_control):
    """As the docstring says: the square root of the share of noise in the measured change."""
    rng = np.random.default_rng(n_control)
    truth, n_vars = rng.normal(3, 1, 20_000), 20_000
    control = truth + rng.normal(0, 1, (n_control, n_vars)).astype(np.float32)
    treated = truth + rng.normal(0, 0.2, n_vars) + rng.normal(0, 1, (100, n_vars)).astype(np.float32)
    expected = np.sqrt((1 / n_control) / (1 / n_control + 0.2**2 + 1 / 100))
    assert change_pearson(control, treated, truth[None]) == pytest.approx(expected, abs=5 / np.sqrt(n_vars))
