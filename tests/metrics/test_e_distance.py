"""The distance equals its definition, is unbiased where the distributions are equal, and is known for points."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import e_distance as module
from cellwright.metrics.e_distance import e_distance


def normal(n_obs, seed, n_vars=5):
    return np.random.default_rng(seed).normal(size=(n_obs, n_vars))


def by_definition(x, y):
    return 2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean()


@pytest.mark.parametrize("block_mb", [module.BLOCK_MB, 0.001], ids=["one block", "many blocks"])
def test_equals_its_definition_by_scipys_distances(block_mb, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_MB", block_mb)
    x, y = normal(60, 0), 1.3 * normal(41, 1) + 0.2
    assert e_distance(x, y) == pytest.approx(by_definition(x, y), abs=1e-9)


def test_two_points_each_side_give_the_closed_form():
    """Sides 3 and 4 of a rectangle: 2 (4 + 5) / 2 - 3 - 3."""
    assert e_distance(np.array([[0.0, 0], [0, 3]]), np.array([[4.0, 0], [4, 3]])) == pytest.approx(3)


def test_equal_points_on_either_side_are_twice_their_distance_apart():
    assert e_distance(np.zeros((4, 2)), np.tile([3.0, 4.0], (5, 1))) == pytest.approx(10)


def test_is_unbiased_around_zero_for_halves_of_one_population():
    found = np.array([e_distance(*np.split(normal(60, seed), 2)) for seed in range(200)])
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(len(found))
    assert (found < 0).any()
    assert (found > 0).any()


def test_sees_a_loss_of_spread_where_the_means_are_right():
    x, y = normal(300, 0), normal(300, 1)
    assert e_distance(x, 0.1 * y) > 20 * abs(e_distance(x, y))


def test_too_many_cells_are_cut_to_a_part_of_them_that_depends_on_their_values_only(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_CELLS", 40)
    x, y = normal(100, 0), normal(30, 1)
    found = e_distance(x, y)
    assert found == pytest.approx(e_distance(x[::-1], y), abs=1e-12)
    assert found != pytest.approx(by_definition(x, y), abs=1e-6)


@pytest.mark.parametrize(
    ("predicted", "kind", "said"),
    [
        pytest.param(normal(5, 1, n_vars=4), DataError, "same features", id="other features"),
        pytest.param(normal(1, 1), DataError, "at least 2 cells in x_predicted; it has 1", id="one cell"),
        pytest.param(np.full((5, 5), np.inf), UnsuitableValues, "x_predicted must be finite", id="infinite"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(predicted, kind, said):
    with pytest.raises(kind, match=said):
        e_distance(normal(9, 0), predicted)
