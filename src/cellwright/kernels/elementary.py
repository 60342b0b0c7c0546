"""Exponential and logarithm of float32 that the compiler turns into vector code: 10 to 20 times the speed of a call.

Polynomials on a reduced range, and the exponent handled as bits, as in Cephes; relative error about 1e-7.

References: [Moshier89] Cephes, expf and logf.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cellwright.kernels.compiled import kernel

_F = np.float32
_ZERO, _HALF, _ONE = _F(0), _F(0.5), _F(1)
_LOG2_E, _LN_2_HIGH, _LN_2_LOW = _F(1.44269504088896341), _F(0.693359375), _F(-2.12194440e-4)
# adding it to a small number leaves the number, rounded to an integer, in the last bits
_ROUND = _F(12582912.0)
_ROUND_BITS = np.int32(0x4B400000)
_SMALLEST, _LARGEST = _F(-87.0), _F(89.0)  # exp of less is no normal number; of more, and of this, infinite
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_BIAS, _SHIFT = np.int32(127), np.int32(23)
_E0, _E1, _E2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_E3, _E4, _E5 = _F(4.1665795894e-2), _F(1.6666665459e-1), _F(5.0000001201e-1)
_P0, _P1, _P2 = _F(7.0376836292e-2), _F(-1.1514610310e-1), _F(1.1676998740e-1)
_P3, _P4, _P5 = _F(-1.2420140846e-1), _F(1.4249322787e-1), _F(-1.6668057665e-1)
_P6, _P7, _P8 = _F(2.0000714765e-1), _F(-2.4999993993e-1), _F(3.3333331174e-1)


@intrinsic
def bits_of(typing: object, x: object) -> object:
    """The bits of a float32 as an int32."""

    def code(context: object, builder: ir.IRBuilder, signature: object, args: list) -> object:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), code


@intrinsic
def float_of(typing: object, x: object) -> object:
    """The float32 of these bits."""

    def code(context: object, builder: ir.IRBuilder, signature: object, args: list) -> object:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), code


@kernel
def exp(x: np.float32) -> np.float32:
    """e^x; below -87 it is e^-87, about 1e-38. NaN stays NaN."""
    x = _SMALLEST if x < _SMALLEST else x
    x = _LARGEST if x > _LARGEST else x
    shifted = x * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
    p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    p = p * (r * r) + r + _ONE
    exponent = bits_of(shifted) - _ROUND_BITS + _BIAS
    return p * float_of(exponent << _SHIFT)


@kernel
def log(x: np.float32) -> np.float32:
    """The natural logarithm of a positive normal number."""
    bits = bits_of(x)
    exponent = (bits - _SQRT_HALF_BITS) >> _SHIFT
    z = float_of(bits - (exponent << _SHIFT)) - _ONE
    n = _F(exponent)
    p = (((((((_P0 * z + _P1) * z + _P2) * z + _P3) * z + _P4) * z + _P5) * z + _P6) * z + _P7) * z + _P8
    square = z * z
    return z + (p * z * square + n * _LN_2_LOW - _HALF * square) + n * _LN_2_HIGH


@kernel
def log1p(r: np.float32) -> np.float32:
    """log(1 + r) for r >= 0; what 1 + r loses of a small r is put back."""
    u = _ONE + r
    return log(u) + (r - (u - _ONE)) / u
