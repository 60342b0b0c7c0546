import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.halves import corrected_to_full, half_split

CELLS = np.arange(18.0).reshape(9, 2)


def test_the_halves_hold_every_cell_once_in_their_order():
    one, other = half_split(CELLS, seed=3)
    assert (len(one), len(other)) == (4, 5)
    np.testing.assert_array_equal(np.sort(np.concatenate([one, other]), axis=0), CELLS)
    for half in (one, other):
        assert (np.diff(half[:, 0]) > 0).all()


def test_a_seed_gives_the_same_halves_and_another_seed_others():
    np.testing.assert_array_equal(half_split(CELLS, 3)[1], half_split(CELLS, 3)[1])
    assert len({tuple(half_split(CELLS, seed)[0][:, 0]) for seed in range(10)}) > 5


def test_three_cells_are_refused_in_a_sentence():
    with pytest.raises(DataError, match="at least 4 cells; there are 3"):
        half_split(CELLS[:3], 0)


def test_the_correction_gives_the_correlation_of_samples_of_full_size():
    """Signal of variance 1 and errors of variance v: halves correlate by 1 / (1 + 2 v), full samples by 1 / (1 + v)."""
    v = np.array([0.0, 0.1, 0.5, 2.0])
    assert [corrected_to_full(r) for r in 1 / (1 + 2 * v)] == pytest.approx(1 / (1 + v))


@pytest.mark.parametrize("r", [-1.0, 1.1, np.nan])
def test_what_is_no_correlation_is_refused_in_a_sentence(r):
    with pytest.raises(DataError, match="needs a correlation above -1, up to 1"):
        corrected_to_full(r)
