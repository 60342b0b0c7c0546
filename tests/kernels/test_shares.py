"""The largest number of a row is what NumPy says, also where there are NaN, infinities and signed zeros."""

import numpy as np
import pytest

from cellwright.kernels.shares import largest

NAN, NEGATIVE_NAN = np.array([0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
ROWS = {
    "positive": [1.0, 3.0, 2.0],
    "negative": [-1.0, -3.0, -2.0],
    "of both signs": [-5.0, 4.0, -6.0, 0.0],
    "one number": [-7.5],
    "infinite": [1.0, np.inf, -np.inf],
    "all minus infinity": [-np.inf, -np.inf],
    "subnormal": [1e-45, -1e-45, 3e-45],
    "zeros": [-0.0, 0.0, -0.0],
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_largest_number_is_numpys(row):
    row = np.array(row, np.float32)
    assert largest(row) == row.max()


def test_the_largest_of_many_numbers_is_numpys():
    rng = np.random.default_rng(0)
    for n in (15, 16, 17, 1_000):
        row = rng.normal(size=n).astype(np.float32)
        assert largest(row) == row.max()


def test_a_row_with_nan_has_no_largest_number():
    assert np.isnan(largest(np.array([1.0, NAN, 2.0, np.inf], np.float32)))
