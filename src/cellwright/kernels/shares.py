"""Shares: the softmax of one row of logits over features, as the heads of counts need it, and its gradient.

logits + bias -> row -> e^(row - largest) and their sum;  derivative by log mean -> derivative by logit
"""

import numpy as np

from cellwright.kernels.bfloat16 import narrowed, widened
from cellwright.kernels.compiled import kernel, reduction
from cellwright.kernels.elementary import bits_of, exp, float_of

_F = np.float32
_MAGNITUDE = np.int32(0x7FFFFFFF)
_SIGN = np.int32(31)
_LOWEST = np.int32(-(2**31))


@kernel
def load_row(stored: np.ndarray, bias: np.ndarray, row: np.ndarray) -> None:
    """row = stored + bias."""
    for j in range(row.shape[0]):
        row[j] = widened(stored[j]) + bias[j]


@kernel
def largest(row: np.ndarray) -> np.float32:
    """The largest number; NaN where there is one."""
    # as integers, floats are in order once the bits below the sign of negative ones are turned over
    top = _LOWEST
    for j in range(row.shape[0]):
        bits = bits_of(row[j])
        top = max(top, bits ^ ((bits >> _SIGN) & _MAGNITUDE))
    return float_of(top ^ ((top >> _SIGN) & _MAGNITUDE))


@reduction
def exponentials(row: np.ndarray, shift: np.float32, out: np.ndarray) -> np.float32:
    """out = e^(row - shift); their sum."""
    total = _F(0)
    for j in range(row.shape[0]):
        e = exp(row[j] - shift)
        out[j] = e
        total += e
    return total


@reduction
def total_of(row: np.ndarray) -> np.float32:
    """The sum of a row."""
    total = _F(0)
    for j in range(row.shape[0]):
        total += row[j]
    return total


@kernel
def store_slopes(
    by_log_mean: np.ndarray,
    exponential: np.ndarray,
    factor: np.float32,
    weight: np.float32,
    stored: np.ndarray,
    by_bias: np.ndarray,
) -> None:
    """The derivative by each logit; `factor` is the sum of `by_log_mean` over the sum of exponentials.

    By bias it adds up over cells, each with its weight.
    """
    for j in range(by_log_mean.shape[0]):
        slope = by_log_mean[j] - exponential[j] * factor
        stored[j] = narrowed(slope, stored)
        by_bias[j] += weight * slope


@kernel
def store(slope: np.ndarray, stored: np.ndarray) -> None:
    """stored = slope, in the type of `stored`."""
    for j in range(slope.shape[0]):
        stored[j] = narrowed(slope[j], stored)


@kernel
def add_stored(stored: np.ndarray, scale: np.float32, out: np.ndarray) -> None:
    """out += scale * stored."""
    for j in range(out.shape[0]):
        out[j] += scale * widened(stored[j])
