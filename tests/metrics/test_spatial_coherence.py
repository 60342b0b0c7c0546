"""Spatial coherence: the share of a spot's neighbours of its domain, counted on a strip; random domains by chance."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.neighbours import Neighbours
from cellwright.metrics.spatial_coherence import coherence_by_label, spatial_coherence

# ten spots in a circle, each with the one before and the one after
CIRCLE = Neighbours((np.arange(10)[:, None] + [-1, 1]) % 10, np.ones((10, 2)))


def test_spots_at_the_border_of_two_domains_have_one_neighbour_of_their_own():
    domains = np.repeat(["left", "right"], 5)
    assert spatial_coherence(CIRCLE, domains) == pytest.approx((6 * 1 + 4 * 0.5) / 10)
    assert spatial_coherence(CIRCLE, np.arange(10) % 2) == 0


def test_random_domains_score_the_sum_of_their_squared_shares():
    rng = np.random.default_rng(0)
    indices = (np.arange(20_000)[:, None] + [1, 2, 3]) % 20_000
    domains = rng.choice(3, 20_000, p=[0.5, 0.3, 0.2])
    found = spatial_coherence(Neighbours(indices, np.ones(indices.shape)), domains)
    assert found == pytest.approx(0.25 + 0.09 + 0.04, abs=0.01)


def test_by_label_the_mean_over_its_spots():
    domains, layers = np.repeat(["left", "right"], 5), np.repeat(["inner", "edge", None], [3, 4, 3])
    found = coherence_by_label(layers, CIRCLE, domains)
    assert found == pytest.approx({"inner": (0.5 + 1 + 1) / 3, "edge": (1 + 0.5 + 0.5 + 1) / 4})


def test_a_single_domain_is_refused():
    with pytest.raises(DataError, match="at least two domains; all spots are 'one'"):
        spatial_coherence(CIRCLE, np.full(10, "one"))
