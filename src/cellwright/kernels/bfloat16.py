"""Numbers as they lie in memory: float32 as it is, bfloat16 (the upper half of a float32) as the uint16 of its bits.

NumPy has no bfloat16; with these two one kernel serves both.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def widened(typing: object, x: object) -> object:
    """The float32 of a stored number."""

    def code(context: object, builder: ir.IRBuilder, signature: object, args: list) -> object:
        if x == types.float32:
            return args[0]
        bits = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(x), code


@intrinsic
def narrowed(typing: object, x: object, like: object) -> object:
    """A float32 as a number of the array `like`: rounded to the nearest, to even between two; NaN stays NaN."""
    stored = like.dtype  # type: ignore[attr-defined]

    def code(context: object, builder: ir.IRBuilder, signature: object, args: list) -> object:
        if stored == types.float32:
            return args[0]
        word, half = ir.IntType(32), ir.IntType(16)
        bits = builder.bitcast(args[0], word)
        upper = builder.lshr(bits, ir.Constant(word, 16))
        to_even = builder.add(builder.and_(upper, ir.Constant(word, 1)), ir.Constant(word, 0x7FFF))
        rounded = builder.lshr(builder.add(bits, to_even), ir.Constant(word, 16))
        # rounding could carry a NaN's bits into infinity
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        quiet = builder.or_(upper, ir.Constant(word, 0x40))
        return builder.trunc(builder.select(is_nan, quiet, rounded), half)

    return stored(types.float32, like), code
