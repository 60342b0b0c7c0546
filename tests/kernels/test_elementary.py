"""The oracle is NumPy in float64, at the float32 numbers themselves; the bound is what the module promises."""

import numba
import numpy as np
import pytest

from cellwright.kernels import elementary

BOUND = 2e-7
TINY, LARGEST = np.finfo(np.float32).tiny, np.finfo(np.float32).max


def _vectorised(function):
    @numba.njit(error_model="numpy")
    def evaluate(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    def on(x):
        x = np.asarray(x, np.float32)
        out = np.empty_like(x)
        evaluate(x, out)
        return out

    return on


EXP, LOG, LOG1P = map(_vectorised, (elementary.exp, elementary.log, elementary.log1p))


def _logarithmic(low, high, n=200_000):
    """Float32 numbers of every size between two positive ones, both included."""
    bits = np.array([low, high], np.float32).view(np.int32).astype(np.int64)
    return np.unique(np.linspace(*bits, n).round().astype(np.int32)).view(np.float32)


def _near(x, n=5_000):
    """The float32 numbers around x."""
    return (np.float32(x).view(np.int32) + np.arange(-n, n + 1, dtype=np.int32)).view(np.float32)


POSITIVE = np.concatenate([_logarithmic(TINY, LARGEST), _near(1), _near(np.sqrt(0.5)), _near(np.sqrt(2)), _near(2)])


def _relative_error(got, expected):
    return np.abs(got.astype(np.float64) / expected - 1).max()


def test_exp_is_exact_over_its_range():
    size = _logarithmic(1e-30, 87)
    x = np.concatenate([-size, [0], size, np.linspace(87, 88, 1_000, dtype=np.float32)])
    assert _relative_error(EXP(x), np.exp(x.astype(np.float64))) < BOUND


def test_exp_of_what_has_no_normal_exponential_is_the_smallest_one():
    x = np.array([-87.1, -100, -1e10, -LARGEST, -np.inf])
    assert _relative_error(EXP(x), np.exp(-87.0)) < BOUND


def test_exp_of_what_is_too_large_is_infinite():
    assert (EXP([89, 100, 1e10, LARGEST, np.inf]) == np.inf).all()


def test_log_is_exact_over_every_positive_normal_number():
    x = POSITIVE[POSITIVE != 1]
    assert _relative_error(LOG(x), np.log(x.astype(np.float64))) < BOUND
    assert LOG([1]) == 0


def test_log1p_is_exact_from_the_smallest_to_the_largest_number():
    subnormal = _logarithmic(1e-45, TINY, 1_000)
    x = np.concatenate([subnormal, POSITIVE])
    assert _relative_error(LOG1P(x), np.log1p(x.astype(np.float64))) < BOUND
    assert LOG1P([0]) == 0


@pytest.mark.parametrize("function", [EXP, LOG1P], ids=["exp", "log1p"])
def test_what_is_not_a_number_stays_so(function):
    quiet, negative = np.array([0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
    assert np.isnan(function([quiet, negative, np.nan])).all()
