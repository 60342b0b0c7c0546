"""Compiled: the products of a head and its density in one pass, by the kernels, on a CPU.

    h (n_obs, n_hidden) -linear-> logits, a block of rows at a time -kernel-> log p(x) (n_obs,) and what backward needs

The kernel puts derivatives in the place of a block of logits while it is in the cache; backward is products alone.
In mixed precision the products are bfloat16; everything between them is float32.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.core.sparse_product import has_kernels
from cellwright.errors import SchemaMismatch
from cellwright.likelihoods.fused import refuse_second_derivative

# logits of a block: so many stay in the cache between the product and the kernel
_BLOCK_ENTRIES = 2**18
_MIN_BLOCK_ROWS = 128
# entries from which a further thread saves more than it costs to wake
_ENTRIES_PER_THREAD = 2**17

Kernel = Callable[..., None]  # see kernels/negative_binomial.py


class Features(NamedTuple):
    """What a density has per feature: parameters that it is differentiated in, and a table made of them."""

    parameters: tuple[Tensor, ...] = ()
    table: tuple[np.ndarray, ...] = ()


def is_compiled(x: SparseRows, h: Tensor, library: Tensor, where: Bool[Tensor, "n_obs n_vars"] | None) -> bool:
    """Whether the kernels can evaluate this: sparse float32 rows on a CPU, all features, a library that is given."""
    sought = x.values.requires_grad or library.requires_grad  # the kernels have no derivatives by these
    plain = not (x.is_dense or sought) and where is None and h.dtype in (torch.float32, torch.bfloat16)
    return plain and has_kernels(x.values, library)


def compiled_log_prob(
    kernel: Kernel,
    x: SparseRows,
    h: Float[Tensor, "n_obs n_hidden"],
    library: Float[Tensor, "n_obs 1"],
    layers: Sequence[nn.Linear],
    features: Features = Features(),  # noqa: B008  frozen
) -> Float[Tensor, " n_obs"]:
    """Sum log p(x | h) over features, per cell; differentiable once, in h, the layers and the features' parameters."""
    for layer in layers:
        if layer.out_features != x.n_vars:  # kernels would write to foreign memory
            raise SchemaMismatch(
                f"the cells must have the {layer.out_features} features that the head was built for; they have "
                f"{x.n_vars}. Open them with open_data(..., schema=model.schema)."
            )
    mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    head = _Head(kernel, x, library, features, torch.bfloat16 if mixed else torch.float32)
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    tensors = [h, *weights, *biases, *features.parameters]
    if not torch.is_grad_enabled():  # autograd would still ask for derivatives
        tensors = [tensor.detach() for tensor in tensors]
    log_prob: Tensor = _LogProb.apply(head, len(layers), *tensors)
    return log_prob


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, head: "_Head", n_layers: int, h: Tensor, *tensors: Tensor) -> Tensor:
        weights, vectors = tensors[:n_layers], tensors[n_layers:]  # the vectors are biases, then features' parameters
        with torch.autocast("cpu", enabled=False):
            operands = [tensor.to(head.dtype) for tensor in (h, *weights)]
            total, slopes, sums = head.evaluate(operands, vectors, keeps_slopes=any(ctx.needs_input_grad))
        ctx.head, ctx.n_layers, ctx.sums, ctx.dtype = head, n_layers, sums, h.dtype
        ctx.save_for_backward(*operands, *slopes, *vectors)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        n, saved = ctx.n_layers, ctx.saved_tensors
        operands, slopes, vectors = saved[: n + 1], saved[n + 1 : 2 * n + 1], saved[2 * n + 1 :]
        h, weights, column = operands[0], operands[1:], grad[:, None]
        first = grad[:1].sum()  # zero without cells
        if bool((grad == first).all()):
            sums = [first * summed for summed in ctx.sums]
        else:  # cells count differently: the sums over cells were taken for equal ones
            sums = ctx.head.evaluate(operands, vectors, cell_weight=grad.contiguous(), keeps_slopes=True)[2]
        scaled = (h * column).to(h.dtype)
        by_weight = [(slope.T @ scaled).to(torch.float32) for slope in slopes]
        by_h = reduce(add, map(torch.mm, slopes, weights)) * column
        return None, None, by_h.to(ctx.dtype), *by_weight, *sums


class _Head:
    """What the kernel reads of one minibatch, and how its rows are cut into blocks and threads."""

    def __init__(self, kernel: Kernel, x: SparseRows, library: Tensor, features: Features, dtype: torch.dtype) -> None:
        self.kernel, self.table, self.dtype = kernel, features.table, dtype
        self.values, self.columns, self.starts = x.arrays
        self.library = library.detach().reshape(-1).numpy()
        self.n_obs, self.n_vars = x.n_obs, x.n_vars

    def evaluate(
        self,
        operands: Sequence[Tensor],
        vectors: Sequence[Tensor],
        *,
        cell_weight: Tensor | None = None,
        keeps_slopes: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Log p per cell; derivatives by logit, one matrix a layer; the sums by each vector, cells weighted."""
        h, *weights = operands
        total = torch.empty(self.n_obs, dtype=torch.float32)
        weight_of_cell = torch.ones(self.n_obs, dtype=torch.float32) if cell_weight is None else cell_weight
        n_threads = max(1, min(torch.get_num_threads(), self.n_obs * self.n_vars // _ENTRIES_PER_THREAD))
        block = max(1, min(self.n_obs, max(_MIN_BLOCK_ROWS, _BLOCK_ENTRIES // self.n_vars) * n_threads))
        slopes = [torch.empty(self.n_obs if keeps_slopes else block, self.n_vars, dtype=self.dtype) for _ in weights]
        sums = torch.zeros(n_threads, len(vectors), self.n_vars, dtype=torch.float32)
        inputs = [vector.numpy() for vector in vectors]
        for first in range(0, self.n_obs, block):
            rows = slice(first, min(first + block, self.n_obs))
            logits = [slope[rows] if keeps_slopes else slope[: rows.stop - rows.start] for slope in slopes]
            for matrix, weight in zip(logits, weights, strict=True):
                torch.mm(h[rows], weight.T, out=matrix)

            def part(thread: int, rows: slice = rows, logits: list[Tensor] = logits) -> None:
                cuts = [(rows.stop - rows.start) * t // n_threads for t in (thread, thread + 1)]
                within = [_bits(matrix[slice(*cuts)]) for matrix in logits]
                own = slice(rows.start + cuts[0], rows.start + cuts[1])
                cells = self.library[own], weight_of_cell.numpy()[own]
                starts, by_vector = self.starts[own.start : own.stop + 1], sums[thread].numpy()
                self.kernel(
                    *(self.values, self.columns, starts, *cells, *within, *inputs, *self.table),
                    *(*(within if keeps_slopes else [m[:, :0] for m in within]), *by_vector, total.numpy()[own]),
                )

            _in_threads(part, n_threads)
        return total, slopes if keeps_slopes else [], list(sums.sum(dim=0))


def _bits(matrix: Tensor) -> np.ndarray:
    """The memory of a matrix as the kernels take it."""
    return matrix.view(torch.uint16).numpy() if matrix.dtype == torch.bfloat16 else matrix.numpy()


def _in_threads(function: Callable[[int], None], n_threads: int) -> None:
    if n_threads == 1:
        function(0)
    else:
        list(_threads().map(function, range(n_threads)))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="cellwright-kernel")
