"""The energy score: a closed form over pairs, and that it sees what goes together."""

import numpy as np
import pytest
from scipy.spatial import distance

from cellwright.metrics.crps import crps
from cellwright.metrics.energy_score import energy_score


def test_it_is_the_mean_over_rows_of_distances_less_half_those_between_draws():
    rng = np.random.default_rng(0)
    came, draws = rng.normal(size=(4, 3)), rng.normal(size=(4, 3, 6))
    expected = [
        (distance.cdist(c[None], d.T).mean() - distance.pdist(d.T).mean() / 2) / np.sqrt(3)
        for c, d in zip(came, draws, strict=True)
    ]
    assert energy_score(came, draws) == pytest.approx(np.mean(expected))


def test_draws_that_go_together_as_the_values_do_score_better_than_independent_ones():
    """By the CRPS of single values both are alike."""
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=(400, 1)), 2, axis=1)
    together = np.repeat(rng.normal(size=(400, 1, 50)), 2, axis=1)
    apart = rng.normal(size=(400, 2, 50))
    assert energy_score(shared, together) < energy_score(shared, apart) - 0.01
    assert crps(shared, together) == pytest.approx(crps(shared, apart), abs=0.02)
