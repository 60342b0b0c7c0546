"""Coverage: the share of values in the interval of nine draws in ten."""

import numpy as np
import pytest

from cellwright.metrics.coverage_error import coverage, coverage_error


def test_draws_from_what_the_values_come_from_cover_nine_in_ten():
    rng = np.random.default_rng(0)
    assert coverage(rng.normal(size=(2000, 1)), rng.normal(size=(2000, 1, 200))) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(("spread", "covered"), [(0.01, 0.0), (100.0, 1.0)], ids=["too sure", "too unsure"])
def test_intervals_that_are_too_narrow_or_too_wide_are_both_off(spread, covered):
    rng = np.random.default_rng(0)
    came, draws = 1 + rng.random((50, 2)), spread * rng.normal(size=(50, 2, 100))
    assert coverage(came, draws) == covered
    assert coverage_error(came, draws) == pytest.approx(abs(covered - 0.9))
