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
_FLOAT, _VECTOR, _WORD = ir.FloatType(), ir.VectorType(ir.FloatType(), _LANES), ir.IntType(64)


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
        def start_of(position: int) -> ir.Value:
            array = cgutils.create_struct_proxy(signature.args[position])(context, builder, args[position])  # type: ignore[attr-defined]
            return array.data

        def vectors_at(base: ir.Value, offset: ir.Value) -> list[ir.Value]:
            floats = [builder.gep(base, [builder.add(offset, _WORD(_LANES * v))]) for v in range(_VECTORS)]
            return [builder.bitcast(float_, _VECTOR.as_pointer()) for float_ in floats]

        values_at, rows_at, matrix_at, out_at = (start_of(position) for position in (0, 1, 4, 5))
        begin, end, column = args[2], args[3], args[6]
        width = cgutils.unpack_tuple(
            builder,
            cgutils.create_struct_proxy(signature.args[4])(context, builder, args[4]).shape,  # type: ignore[attr-defined]
            2,
        )[1]
        targets = vectors_at(out_at, column)
        before = builder.block
        starting = [builder.load(target, align=4) for target in targets]
        loop, done = builder.append_basic_block("rows"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", begin, end), loop, done)

        builder.position_at_end(loop)
        s = builder.phi(_WORD)
        totals = [builder.phi(_VECTOR) for _ in targets]
        value = builder.load(builder.gep(values_at, [s]))
        row = builder.load(builder.gep(rows_at, [s]))
        row = builder.sext(row, _WORD) if index.bitwidth < 64 else row
        lane = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.IntType(32)(0))
        spread = builder.shuffle_vector(
            lane,
            ir.Constant(_VECTOR, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES),
        )
        terms = [
            builder.load(at, align=4) for at in vectors_at(matrix_at, builder.add(builder.mul(row, width), column))
        ]
        sums = [
            builder.fadd(total, builder.fmul(spread, term, flags=("contract",)), flags=("contract",))
            for total, term in zip(totals, terms, strict=True)
        ]
        following = builder.add(s, _WORD(1))
        again = builder.icmp_signed("<", following, end)
        builder.cbranch(again, loop, done)
        s.add_incoming(begin, before)
        s.add_incoming(following, loop)
        for total, first_value, sum_ in zip(totals, starting, sums, strict=True):
            total.add_incoming(first_value, before)
            total.add_incoming(sum_, loop)

        builder.position_at_end(done)
        finals = [builder.phi(_VECTOR) for _ in targets]
        for final, target, first_value, sum_ in zip(finals, targets, starting, sums, strict=True):
            final.add_incoming(first_value, before)
            final.add_incoming(sum_, loop)
            builder.store(final, target, align=4)
        return context.get_dummy_value()  # type: ignore[attr-defined]

    return types.void(values, rows, types.int64, types.int64, matrix, out, types.int64), code
