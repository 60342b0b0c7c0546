"""Values one by one: their logarithm log(1 + x), and how many of them lie outside what a likelihood is defined on."""

import math

import numpy as np

from cellwright.kernels.compiled import kernel
from cellwright.kernels.elementary import log1p

_LARGEST = np.finfo(np.float32).max
_ZERO, _ONE, _NAN = np.float32(0), np.float32(1), np.float32(np.nan)


@kernel
def log1p_of(values: np.ndarray, out: np.ndarray) -> None:
    """out = log(1 + values); NaN where there is none."""
    for s in range(values.shape[0]):
        x = values[s]
        out[s] = log1p(x) if x > -_ONE else _NAN


@kernel
def count_outside(values: np.ndarray) -> tuple[int, int, int, int]:
    """How many are not finite, negative, not whole, above 1."""
    infinite, negative, broken, large = 0, 0, 0, 0
    for s in range(values.shape[0]):
        x = values[s]
        infinite += not abs(x) <= _LARGEST
        negative += x < _ZERO
        broken += x != math.floor(x)
        large += x > _ONE
    return infinite, negative, broken, large
