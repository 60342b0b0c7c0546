"""FOSCTTM: 0 for the same places, .5 for a random order, 1 where each cell is the farthest; both directions count."""

import numpy as np
import pytest

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.foscttm import foscttm, foscttm_by_label


def one_by_one(first: np.ndarray, second: np.ndarray) -> float:
    distances = np.sqrt(((first[:, None] - second) ** 2).sum(axis=2))
    shares = []
    for cell in range(len(first)):
        others = np.arange(len(first)) != cell
        shares.append(np.mean(distances[cell, others] < distances[cell, cell]))
        shares.append(np.mean(distances[others, cell] < distances[cell, cell]))
    return float(np.mean(shares))


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(60, 3))
    return first, first + rng.normal(size=(60, 3))


def test_equals_the_count_cell_by_cell_in_both_directions(pair):
    assert foscttm(*pair) == pytest.approx(one_by_one(*pair), abs=1e-12)
    assert foscttm(*pair) == pytest.approx(foscttm(*reversed(pair)), abs=1e-12)


def test_is_zero_for_the_same_places_and_half_for_a_random_order():
    latent = np.random.default_rng(0).normal(size=(1000, 4))
    assert foscttm(latent, latent) == 0
    assert foscttm(latent, latent[np.random.default_rng(1).permutation(1000)]) == pytest.approx(0.5, abs=0.02)


def test_is_one_where_every_cell_is_the_farthest_of_all():
    assert foscttm(np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])) == 1


def test_cells_in_one_place_are_not_nearer_than_the_own_one():
    """Collapse is no alignment, but counting what is strictly nearer cannot see it: read it beside label transfer."""
    assert foscttm(np.full((9, 2), 0.1), np.full((9, 2), 0.3)) == 0


def test_blocks_change_nothing(pair, monkeypatch):
    whole = foscttm(*pair)
    monkeypatch.setattr("cellwright.metrics.foscttm.BLOCK_ENTRIES", 7 * 60)
    assert foscttm(*pair) == whole


def test_by_label_the_mean_over_its_cells(pair):
    labels = np.repeat(["T", "B", None], [30, 20, 10])
    found = foscttm_by_label(labels, *pair)
    assert list(found) == ["T", "B"]
    whole = foscttm_by_label(np.full(60, "all"), *pair)["all"]
    assert whole == pytest.approx(foscttm(*pair), abs=1e-12)


def test_other_cells_a_single_one_and_nan_are_refused(pair):
    first, second = pair
    with pytest.raises(DataError, match=r"\(60, 3\) and \(59, 3\)"):
        foscttm(first, second[1:])
    with pytest.raises(DataError, match="at least two"):
        foscttm(first[:1], second[:1])
    with pytest.raises(UnsuitableValues, match="latent_second must be finite"):
        foscttm(first, np.where(second > 1, np.nan, second))
