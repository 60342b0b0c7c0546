"""Vectors: a weighted sum of matrix rows, held in registers from its first term to its last.

    out (n,) += sum over s of values[s] * matrix[rows[s]] (n,)

A loop over `out` inside a loop over s reads and writes `out` once for each s; the compiler cannot turn the two around.
Written here as vector instructions over blocks of columns, it is two to four times faster.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cellwright.kernels.compiled import inlined

# 64 columns are four AVX-512 registers, eight of AVX2, sixteen of NEON: what each of them has to spare
_LANES, _VECTORS = 16, 4
_COLUMNS = _LANES * _VECTORS
_VECTOR, _WORD = ir.VectorType(ir.FloatType(), _LANES), ir.IntType(64)


@inlined
def add_rows(values: np.ndarray, rows: np.ndarray, first: int, stop: int, matrix: np.ndarray, out: np.ndarray) -> None:
    """out += values[s] * matrix[rows[s]], summed over first <= s < stop; all contiguous, float32 and int32."""
    n = out.shape[0]
    for k in range(0, n - _COLUMNS + 1, _COLUMNS):
        _add_block(values, rows, first, stop, matrix, out, k)
    for k in range(n - n % _COLUMNS, n):
        total = out[k]
        for s in range(first, stop):
            total += values[s] * matrix[rows[s], k]
        out[k] = total


@intrinsic
def _add_block(
    typing: object, values: object, rows: object, first: object, stop: object, matrix: object, out: object, k: object
) -> object:
    """The columns k to k + 64."""
    index = rows.dtype  # type: ignore[attr-defined]

    def code(context: object, builder: ir.IRBuilder, signature: object, args: list) -> object:
        arrays = {
            position: cgutils.create_struct_proxy(signature.args[position])(context, builder, args[position])  # type: ignore[attr-defined]
            for position in (0, 1, 4, 5)
        }
        begin, end, column = args[2], args[3], args[6]
        width = cgutils.unpack_tuple(builder, arrays[4].shape, 2)[1]
        targets = _vectors_at(builder, arrays[5].data, column)
        # on the stack by name only: the compiler keeps them in registers
        totals = [cgutils.alloca_once_value(builder, builder.load(target, align=4)) for target in targets]
        with cgutils.for_range_slice(builder, begin, end, _WORD(1), _WORD) as (s, _):
            spread = _in_all_lanes(builder, builder.load(builder.gep(arrays[0].data, [s])))
            row = builder.load(builder.gep(arrays[1].data, [s]))
            row = builder.sext(row, _WORD) if index.bitwidth < 64 else row
            place = builder.add(builder.mul(row, width), column)
            for total, term in zip(totals, _vectors_at(builder, arrays[4].data, place), strict=True):
                product = builder.fmul(spread, builder.load(term, align=4), flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for total, target in zip(totals, targets, strict=True):
            builder.store(builder.load(total), target, align=4)
        return context.get_dummy_value()  # type: ignore[attr-defined]

    return types.void(values, rows, types.int64, types.int64, matrix, out, types.int64), code


def _vectors_at(builder: ir.IRBuilder, base: ir.Value, offset: ir.Value) -> list[ir.Value]:
    """The addresses of the vectors that begin `offset` floats after `base`."""
    floats = [builder.gep(base, [builder.add(offset, _WORD(_LANES * v))]) for v in range(_VECTORS)]
    return [builder.bitcast(address, _VECTOR.as_pointer()) for address in floats]


def _in_all_lanes(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A vector of one number."""
    undefined, zeros = ir.Constant(_VECTOR, ir.Undefined), ir.VectorType(ir.IntType(32), _LANES)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(zeros, [0] * _LANES))
