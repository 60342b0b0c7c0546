"""Fused: log p(x) per cell and its gradient in one pass, from a density that knows its derivatives.

    parameters (n_obs, n_vars) or (n_vars,), x sparse -> log p(x) per cell (n_obs,), differentiable in the parameters

Most entries are zero and have a simple closed form; the others are stored: a density is two elementwise functions.
Against autograd over the same formulas this keeps one dense matrix per parameter instead of one per operation, works on
blocks of rows that stay in cache, and has no `where` through which a gradient could become NaN.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cellwright.core.minibatch import SparseRows

# entries of a block: large against what is computed once per feature and block, small enough for a cache
_BLOCK_ENTRIES = 2**20

Terms = tuple[Tensor, ...]  # log p and its derivative by each parameter, all of one shape
At = Callable[[Tensor], Tensor]  # a matrix (n_obs, n_vars) or a vector (n_vars,) -> its entries where x is not zero


class Density(NamedTuple):
    """log p(x) and its derivatives, elementwise: where x is zero, and where it is not. Terms share no memory."""

    at_zero: Callable[..., Terms]  # (*parameters) -> Terms (n_obs, n_vars)
    at_value: Callable[..., Terms]  # (x (nnz,), at, *parameters) -> Terms (nnz,)


def fused_log_prob(
    density: Density, x: SparseRows, parameters: Sequence[Tensor], where: Bool[Tensor, "n_obs n_vars"] | None = None
) -> Float[Tensor, " n_obs"]:
    """Sum log p(x) over the features, or over those in `where`; differentiable once, in the parameters.

    The first parameter is a matrix (n_obs, n_vars). What a product in reduced precision made is evaluated in the
    precision of x.
    """
    exact = [parameter.to(x.values.dtype) for parameter in parameters]
    if not torch.is_grad_enabled():  # autograd would still ask for derivatives
        exact = [parameter.detach() for parameter in exact]
    log_prob: Tensor = _Fused.apply(density, x, where, *exact)
    return log_prob


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, density: Density, x: SparseRows, where: Tensor | None, *parameters: Tensor) -> Tensor:
        n_obs, n_vars = parameters[0].shape
        total = parameters[0].new_empty(n_obs)
        wanted = ctx.needs_input_grad[3:]
        slopes = [parameters[0].new_empty(n_obs, n_vars) if needed else None for needed in wanted]
        entries = _Entries.of(x)
        for rows in _blocks(parameters[0]):
            terms = _evaluate(density, entries.of_rows(rows), [p[rows] if p.dim() == 2 else p for p in parameters])
            if where is not None:
                terms = [term.masked_fill_(~where[rows], 0) for term in terms]
            total[rows] = terms[0].sum(dim=1)
            for slope, term in zip(slopes, terms[1:], strict=True):
                if slope is not None:
                    slope[rows] = term
        ctx.save_for_backward(*slopes)
        ctx.dims = [p.dim() for p in parameters]
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        pairs = zip(ctx.saved_tensors, ctx.dims, strict=True)
        return None, None, None, *(None if slope is None else _chain(grad, slope, dim) for slope, dim in pairs)


def refuse_second_derivative() -> None:
    """Raise `NotImplementedError` in a backward that is itself to be differentiated.

    The derivatives that were kept are constants to autograd: it would answer, and wrongly.
    """
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "a fused or compiled log_prob must be differentiated once only; it got create_graph=True. Write a density "
            "that is differentiated twice with plain torch operations."
        )


def _chain(grad: Tensor, slope: Tensor, dim: int) -> Tensor:
    by_entry = grad[:, None] * slope
    # not grad @ slope: products may be set to a reduced precision
    return by_entry.sum(dim=0) if dim == 1 else by_entry


class _Entries(NamedTuple):
    """The entries of x that are not zero, by rows; `bounds[i]` is where row i begins."""

    values: Float[Tensor, " nnz"]
    columns: Int[Tensor, " nnz"]
    position: Int[Tensor, " nnz"]  # row * n_vars + column
    bounds: list[int]
    n_vars: int

    @classmethod
    def of(cls, x: SparseRows) -> "_Entries":
        values, row, columns = _not_zero(x)
        counts = torch.bincount(row, minlength=x.n_obs)
        return cls(values, columns, row * x.n_vars + columns, [0, *counts.cumsum(0).tolist()], x.n_vars)

    def of_rows(self, rows: slice) -> "_Entries":
        mine = slice(self.bounds[rows.start], self.bounds[rows.stop])
        position = self.position[mine] - rows.start * self.n_vars
        return _Entries(self.values[mine], self.columns[mine], position, [], self.n_vars)

    def at(self, parameter: Tensor) -> Tensor:
        return parameter[self.columns] if parameter.dim() == 1 else parameter.reshape(-1)[self.position]


def _evaluate(density: Density, entries: _Entries, parameters: list[Tensor]) -> list[Tensor]:
    terms = [term.contiguous() for term in density.at_zero(*parameters)]
    for term, stored in zip(terms, density.at_value(entries.values, entries.at, *parameters), strict=True):
        term.view(-1)[entries.position] = stored
    return terms


def _not_zero(x: SparseRows) -> tuple[Tensor, Tensor, Tensor]:
    # a stored zero is a zero like any other
    if x.columns is None:
        row, columns = x.values.nonzero(as_tuple=True)
        return x.values[row, columns], row, columns
    row, kept = x.row_of_value, x.values != 0
    return (x.values, row, x.columns) if kept.all() else (x.values[kept], row[kept], x.columns[kept])


def _blocks(matrix: Tensor) -> list[slice]:
    n_obs, n_vars = matrix.shape
    # on other devices each block costs launches, and the cache is not ours
    step = max(1, _BLOCK_ENTRIES // max(n_vars, 1)) if matrix.device.type == "cpu" else max(n_obs, 1)
    return [slice(start, min(start + step, n_obs)) for start in range(0, n_obs, step)]
