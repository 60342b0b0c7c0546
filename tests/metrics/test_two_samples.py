"""Real and generated cells are checked, ordered by their values alone, and bounded."""

import numpy as np
import pytest

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import two_samples as module
from cellwright.metrics.two_samples import components, most_variable, two_samples

RNG = np.random.default_rng(0)
REAL, GENERATED = RNG.normal(size=(40, 6)).astype(np.float32), RNG.normal(size=(30, 6)).astype(np.float32)


def rows(values):
    return {tuple(row) for row in values.tolist()}


def test_the_order_of_the_cells_comes_from_their_values():
    shuffled = [side[RNG.permutation(len(side))] for side in (REAL, GENERATED)]
    for one, other in zip(two_samples(REAL, GENERATED, "m", 2), two_samples(*shuffled, "m", 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_that_order_says_nothing_of_the_values():
    values = np.arange(4000, dtype=np.float32)[:, None] % 1999
    ordered, _ = two_samples(values, values, "m", 2)
    assert abs(np.corrcoef(ordered[:, 0], np.arange(len(ordered)))[0, 1]) < 4 / np.sqrt(len(ordered))


def test_too_many_cells_are_cut_to_a_part_of_them(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_CELLS", 25)
    real, generated = two_samples(REAL, GENERATED, "m", 2)
    assert (len(real), len(generated)) == (25, 25)
    assert rows(real) < rows(REAL)


def test_of_too_many_features_those_stay_that_vary_most_among_the_real_cells(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_FEATURES", 2)
    scale = np.array([1, 5, 1, 1, 9, 1], dtype=np.float32)
    real, generated = two_samples(REAL * scale, GENERATED / scale, "m", 2)
    assert rows(real) == rows((REAL * scale)[:, [1, 4]])
    assert rows(generated) == rows((GENERATED / scale)[:, [1, 4]])


def test_the_most_variable_features_come_in_descending_order_and_a_constant_one_never():
    values = REAL * np.array([1, 3, 0, 2, 0, 9])
    assert most_variable(values, 3).tolist() == [5, 1, 3]
    assert set(most_variable(values, 6)) == {0, 1, 3, 5}


def test_components_keep_distances_where_there_are_as_many_as_features():
    real, generated = components(REAL.astype(float), GENERATED.astype(float))
    before = np.linalg.norm(REAL[3].astype(float) - GENERATED[7])
    assert np.linalg.norm(real[3] - generated[7]) == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize(
    ("real", "generated", "said"),
    [
        pytest.param(REAL, GENERATED[:, :5], "same features", id="other features"),
        pytest.param(REAL[:3], GENERATED, "x_real has 3", id="few real cells"),
        pytest.param(REAL, GENERATED[:0], "x_generated has 0", id="no generated cell"),
    ],
)
def test_what_cannot_be_compared_is_refused(real, generated, said):
    with pytest.raises(DataError, match=said):
        two_samples(real, generated, "m", 5)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(UnsuitableValues, match="x_generated must be finite"):
        two_samples(REAL, np.where(GENERATED > 1, np.nan, GENERATED), "m", 2)
