"""Noise keyed by row: the hash of core/noise.py and its normal numbers, without a tensor per operation.

key x row x column -> 64-bit hash -> uniform in (0, 1) or standard normal
"""

import math

import numpy as np

from cellwright.kernels.compiled import inlined, kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LARGEST = np.float32(1 - 2.0**-24)
_30, _27, _31, _40 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(40)


@inlined
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


@inlined
def _uniform(of_row: np.uint64, column: int) -> np.float32:
    bits = _mix(of_row + np.uint64(column) * _GOLDEN) >> _40
    # float32 has no half beside 2^24 - 1: the largest would be 1
    return min((np.float32(bits) + np.float32(0.5)) * np.float32(2.0**-24), _LARGEST)


@kernel
def uniform_at(key: np.uint64, rows: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """out[s] in (0, 1) of the entry (rows[s], columns[s])."""
    for s in range(rows.shape[0]):
        out[s] = _uniform(_mix(np.uint64(rows[s]) * _GOLDEN + key), columns[s])


@kernel
def normal(key: np.uint64, rows: np.ndarray, out: np.ndarray) -> None:
    """out (n_obs, width): standard normal numbers, by Box and Muller from two uniforms."""
    width = out.shape[1]
    half = (width + 1) // 2
    for i in range(rows.shape[0]):
        of_row = _mix(np.uint64(rows[i]) * _GOLDEN + key)
        for k in range(half):
            radius = math.sqrt(np.float32(-2) * np.float32(math.log(_uniform(of_row, k))))
            angle = np.float32(2 * math.pi) * _uniform(of_row, half + k)
            out[i, k] = radius * math.cos(angle)
            if half + k < width:
                out[i, half + k] = radius * math.sin(angle)


@kernel
def keep(key: np.uint64, rate: float, out: np.ndarray) -> None:
    """out[s] = 0 with probability `rate`, else 1 / (1 - rate): the mask of dropout."""
    below, scale = np.uint64(rate * 2.0**64), np.float32(1.0 / (1.0 - rate))
    for s in range(out.shape[0]):
        out[s] = np.float32(0) if _mix(np.uint64(s) * _GOLDEN + key) < below else scale
