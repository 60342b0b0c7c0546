"""The three metrics of mean profiles equal SciPy and scikit-learn, and differ in what they forgive."""

import numpy as np
import pytest
from scipy.stats import linregress
from sklearn.metrics import mean_absolute_error, r2_score

from cellwright.errors import DataError
from cellwright.metrics.mean_fit import mean_fit
from cellwright.metrics.mean_mae import mean_mae
from cellwright.metrics.mean_r2 import mean_r2

RNG = np.random.default_rng(0)
TREATED = RNG.gamma(1.0, size=(40, 30))
PREDICTED = (0.8 * TREATED[RNG.integers(0, 40, 25)] + 0.3 + RNG.normal(size=(25, 30))).astype(np.float32)
MEANS = TREATED.mean(axis=0), PREDICTED.mean(axis=0, dtype=float)

REFERENCE = [
    pytest.param(mean_r2, lambda true, predicted: linregress(predicted, true).rvalue ** 2, id="mean_r2"),
    pytest.param(mean_fit, r2_score, id="mean_fit"),
    pytest.param(mean_mae, mean_absolute_error, id="mean_mae"),
]


@pytest.mark.parametrize(("metric", "reference"), REFERENCE)
def test_equals_a_reference_on_the_mean_profiles(metric, reference):
    assert metric(TREATED, PREDICTED) == pytest.approx(reference(*MEANS), abs=1e-12)


@pytest.mark.parametrize(("metric", "reference"), REFERENCE)
def test_pairs_no_rows(metric, reference):
    shuffled = PREDICTED[RNG.permutation(len(PREDICTED))]
    assert metric(TREATED, shuffled) == pytest.approx(metric(TREATED, PREDICTED), abs=1e-12)


def test_a_wrong_scale_and_offset_are_forgiven_by_the_correlation_alone():
    wrong = 3 * TREATED + 1
    assert mean_r2(TREATED, wrong) == pytest.approx(1)
    assert mean_fit(TREATED, wrong) < 0
    assert mean_mae(TREATED, wrong) == pytest.approx(np.abs(2 * MEANS[0] + 1).mean())


def test_an_opposite_profile_has_the_same_squared_correlation():
    assert mean_r2(TREATED, -TREATED) == pytest.approx(1)


def test_the_mean_of_all_genes_fits_nothing():
    assert mean_fit(TREATED, np.full((3, 30), MEANS[0].mean())) == pytest.approx(0)


@pytest.mark.parametrize(
    ("metric", "treated", "predicted", "said"),
    [
        pytest.param(mean_r2, TREATED, np.ones((5, 30)), "that of x_predicted is 1 for all", id="mean_r2, predicted"),
        pytest.param(mean_r2, np.zeros((5, 30)), PREDICTED, "that of x_treated is 0 for all", id="mean_r2, treated"),
        pytest.param(mean_fit, np.zeros((5, 30)), PREDICTED, "that of x_treated is 0 for all", id="mean_fit"),
    ],
)
def test_a_profile_without_differences_is_refused_in_a_sentence(metric, treated, predicted, said):
    with pytest.raises(DataError, match=f"needs a mean that differs between features; {said}"):
        metric(treated, predicted)
