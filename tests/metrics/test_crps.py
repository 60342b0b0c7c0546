"""CRPS against the mean over pairs, the closed form of a normal distribution, and the absolute error of one value."""

import numpy as np
import pytest
from scipy import stats

from cellwright.metrics.crps import crps
from cellwright.metrics.energy_score import energy_score


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_it_is_the_distance_to_what_came_less_half_that_between_different_draws(rng):
    came, draws = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 6))
    pairs = [abs(draws[..., i] - draws[..., j]) for i in range(6) for j in range(6) if i != j]
    expected = np.abs(draws - came[..., None]).mean() - np.mean(pairs) / 2
    assert crps(came, draws) == pytest.approx(expected)


def test_draws_of_a_normal_distribution_have_its_closed_form(rng):
    """[Gneiting07], equation 5 of Gneiting and others 2005: s (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi))."""
    z = 0.7
    draws = rng.normal(0, 2, size=(1, 1, 40_000))
    expected = 2 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps(np.array([[2 * z]]), draws) == pytest.approx(expected, abs=0.02)


def test_certain_draws_have_the_absolute_error(rng):
    came = rng.normal(size=(4, 3))
    assert crps(came, np.zeros((4, 3, 5))) == pytest.approx(np.abs(came).mean())


def test_for_single_values_the_energy_score_is_the_crps(rng):
    came, draws = rng.normal(size=(9, 1)), rng.normal(size=(9, 1, 8))
    assert energy_score(came, draws) == pytest.approx(crps(came, draws))
