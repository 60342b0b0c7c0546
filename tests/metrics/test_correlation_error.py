import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics import correlation_error as module
from cellwright.metrics.correlation_error import correlation_error

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5))


def test_equals_the_difference_of_numpys_correlations():
    generated = RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 5))
    difference = np.abs(np.corrcoef(REAL.T) - np.corrcoef(generated.T))
    assert correlation_error(REAL, generated) == pytest.approx(difference[np.triu_indices(5, k=1)].mean())


def test_scale_and_offset_of_a_feature_say_nothing():
    assert correlation_error(REAL, REAL * np.arange(1, 6) - 3) == pytest.approx(0, abs=1e-12)


def test_a_pair_that_turns_round_counts_2():
    real = np.repeat(RNG.normal(size=(30, 1)), 2, axis=1)
    assert correlation_error(real, real * np.array([1, -1])) == pytest.approx(2)


def test_features_that_were_shuffled_each_by_itself_lose_their_correlations():
    """The mean |correlation| is what is lost, but for the chance correlations of 20,000 cells."""
    values = RNG.normal(size=(20_000, 5)) @ RNG.normal(size=(5, 5))
    shuffled = np.stack([RNG.permutation(column) for column in values.T], axis=1)
    lost = np.abs(np.corrcoef(values.T)[np.triu_indices(5, k=1)]).mean()
    # at most 2,000 cells are used
    assert correlation_error(values, shuffled) == pytest.approx(lost, abs=3 * np.sqrt(2 / 2000))


def test_a_feature_that_is_constant_correlates_with_none():
    generated = REAL.copy()
    generated[:, 2] = 1.0
    lost = np.abs(np.delete(np.corrcoef(REAL.T)[2], 2)).sum()
    assert correlation_error(REAL, generated) == pytest.approx(lost / 10)


def test_only_the_features_that_vary_most_count(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_FEATURES", 2)
    real = REAL / REAL.std(axis=0) * np.array([1, 9, 8, 1, 1])
    generated = real.copy()
    generated[:, [0, 3, 4]] = RNG.normal(size=(60, 3))
    assert correlation_error(real, generated) == pytest.approx(0, abs=1e-12)


def test_one_feature_is_refused_in_a_sentence():
    with pytest.raises(DataError, match="needs two features that vary among the real cells; 1 does"):
        correlation_error(REAL[:, :1], REAL[:, :1])
