"""kBET: about 95 % of cells pass where batches are drawn alike, none where they lie apart; labels without a test."""

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.neighbors import NearestNeighbors

from cellwright.errors import DataError
from cellwright.metrics.kbet import kbet, kbet_by_label, passes
from cellwright.metrics.neighbours import Neighbours


def neighbours_of(latent: np.ndarray, n_neighbors: int = 50) -> Neighbours:
    distances, indices = NearestNeighbors(n_neighbors=min(n_neighbors, len(latent) - 1)).fit(latent).kneighbors()
    return Neighbours(indices, distances)


@pytest.fixture(scope="module")
def latent():
    return np.random.default_rng(0).normal(size=(400, 3))


def test_of_batches_that_are_drawn_alike_ninety_five_of_a_hundred_cells_pass(latent):
    drawn = [np.random.default_rng(seed).integers(0, 2, 400) for seed in range(5)]
    passed = [kbet(neighbours_of(latent), np.full(400, "T"), batches) for batches in drawn]
    # cells share neighbours, so the share scatters more than that of independent tests
    assert np.mean(passed) == pytest.approx(0.95, abs=0.04)


def test_no_cell_passes_among_batches_that_lie_apart(latent):
    batches = (latent[:, 0] > 0).astype(int)
    assert kbet(neighbours_of(latent + 100 * batches[:, None]), np.full(400, "T"), batches) == 0
    # where they touch, those at the border pass
    touching = kbet(neighbours_of(latent), np.full(400, "T"), batches)
    assert 0 < touching < kbet(neighbours_of(latent), np.full(400, "T"), np.arange(400) % 2)


def test_the_test_is_pearsons_with_the_shares_of_all_cells():
    rng = np.random.default_rng(0)
    near, expected = rng.integers(0, 3, (30, 20)), np.array([50, 30, 20])
    observed = [np.bincount(row, minlength=3) for row in near]
    p_values = [chisquare(counts, 20 * expected / expected.sum()).pvalue for counts in observed]
    assert passes(near, expected).tolist() == [p >= 0.05 for p in p_values]


def test_a_batch_without_cells_is_no_batch_and_a_single_one_passes_nowhere():
    near = np.array([[0, 1] * 10, [0, 0] * 10])
    assert passes(near, np.array([5, 5, 0])).tolist() == passes(near, np.array([5, 5])).tolist() == [True, False]
    assert not passes(np.zeros((3, 20), dtype=int), np.array([10, 0])).any()


def test_a_label_that_falls_apart_counts_zero(latent):
    """Forty islands of ten cells: no part has 3 k0 = 75 cells or more."""
    islands = latent + 1000.0 * (np.arange(400) // 10)[:, None]
    assert kbet(neighbours_of(islands, 9), np.full(400, "T"), np.arange(400) % 4) == 0


def test_parts_that_are_large_enough_are_tested_each_by_itself(latent):
    """Two islands of 200 cells, both with batches drawn alike, and ten cells elsewhere, which are left out."""
    islands = latent + 1000.0 * np.repeat([0, 1, 2], [200, 190, 10])[:, None]
    assert kbet(neighbours_of(islands, 9), np.full(400, "T"), np.arange(400) % 2) > 0.85


def test_labels_of_few_cells_or_one_batch_have_no_value_and_are_in_no_mean(latent):
    labels = np.repeat(["many", "one batch", "few"], [300, 91, 9])
    batches = np.where(labels == "one batch", 0, np.arange(400) % 2)
    found = kbet_by_label(labels, neighbours_of(latent), batches)
    assert np.isnan([found["one batch"], found["few"]]).all()
    assert kbet(neighbours_of(latent), labels, batches) == found["many"] > 0.8
    with pytest.raises(DataError, match="10 cells or more of two batches; none of 1 has"):
        kbet(neighbours_of(latent[:9]), np.full(9, "few"), np.arange(9) % 2)
