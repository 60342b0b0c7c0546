"""LISI counts the groups of a neighbourhood: 1 for one, B for B of equal weight; the weights have their perplexity."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.lisi import TOLERANCE, clisi, clisi_by_label, ilisi, ilisi_by_label, kernel_weights, lisi_of
from cellwright.metrics.neighbours import Neighbours


def ring(n_obs: int, steps: list[int]) -> Neighbours:
    """Cell i has the neighbours i + step, all at one distance, so that all weigh the same."""
    indices = (np.arange(n_obs)[:, None] + np.array(steps)) % n_obs
    return Neighbours(indices, np.ones(indices.shape))


def test_groups_of_equal_weight_count_as_their_number():
    lisi, _ = lisi_of(ring(12, [1, 2, 3]), np.arange(12) % 3, "batches", "ilisi")
    assert lisi == pytest.approx(3)
    assert ilisi(ring(12, [1, 2, 3]), np.arange(12) % 3) == pytest.approx(1)


def test_shares_of_a_quarter_and_three_quarters_count_as_eight_fifths():
    """1 / (1/16 + 9/16) = 1.6; of two batches, scaled, .6."""
    near = ring(12, [1, 2, 4, 6])  # one of the other batch and three of the own
    assert ilisi(near, np.arange(12) % 2) == pytest.approx(0.6)
    assert clisi(near, np.arange(12) % 2) == pytest.approx(0.4)


def test_one_group_around_every_cell_is_no_mixing_of_batches_and_the_best_of_labels():
    apart = np.arange(12) % 2
    assert ilisi(ring(12, [2, 4, 6]), apart) == 0
    assert clisi(ring(12, [2, 4, 6]), apart) == 1


def test_by_label_the_batches_around_the_cells_of_a_label():
    # cells 0 to 5 see both batches; 6 to 11 are of one batch, and see only it
    indices = np.concatenate([(np.arange(6)[:, None] + [1, 2]) % 6, 6 + (np.arange(6)[:, None] + [1, 2]) % 6])
    near = Neighbours(indices, np.ones(indices.shape))
    labels, batches = np.repeat(["mixed", "apart"], 6), np.concatenate([np.arange(6) % 2, np.zeros(6, dtype=int)])
    found = ilisi_by_label(labels, near, batches)
    assert found["mixed"] == pytest.approx(1)
    assert np.isnan(found["apart"])  # nothing to mix with is no bad mixing
    assert clisi_by_label(labels, near) == {"mixed": 1, "apart": 1}


def test_weights_sum_to_one_and_their_entropy_is_that_of_the_perplexity():
    distances = np.sort(np.random.default_rng(0).gamma(2.0, size=(50, 90)), axis=1)
    weights = kernel_weights(distances, 30)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert -(weights * np.log(weights)).sum(axis=1) == pytest.approx(np.log(30), abs=TOLERANCE)
    assert (np.diff(weights, axis=1) <= 0).all()


def test_weights_do_not_know_the_unit_of_distance_nor_how_far_the_nearest_is():
    distances = np.sort(np.random.default_rng(0).gamma(2.0, size=(20, 90)), axis=1)
    weights = kernel_weights(distances, 30)
    # cells 10,000 away from all others would have only zeros, were distances not counted from the nearest
    for other in (1000 * distances, distances / 1000, distances + 10_000):
        np.testing.assert_allclose(kernel_weights(other, 30), weights, rtol=1e-3)


def test_cells_that_coincide_with_all_their_neighbours_weigh_them_alike():
    assert kernel_weights(np.zeros((3, 9)), 3) == pytest.approx(1 / 9)


def test_blocks_of_cells_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    indices = np.stack([rng.permutation(np.delete(np.arange(40), cell))[:12] for cell in range(40)])
    near = Neighbours(indices, np.sort(rng.gamma(2.0, size=(40, 12)), axis=1))
    batches = rng.integers(0, 3, 40)
    whole, _ = lisi_of(near, batches, "batches", "ilisi")
    monkeypatch.setattr("cellwright.metrics.lisi.CELLS_PER_BLOCK", 7)
    np.testing.assert_allclose(lisi_of(near, batches, "batches", "ilisi")[0], whole)


@pytest.mark.parametrize("metric", [ilisi, clisi])
def test_a_single_group_is_refused(metric):
    with pytest.raises(DataError, match="at least two groups"):
        metric(ring(12, [1, 2]), np.zeros(12))
