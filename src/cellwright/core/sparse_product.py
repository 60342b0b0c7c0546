"""Sparse product: CSR rows times a dense weight, differentiable in the weight.

    values, columns, starts x weight (n_vars, n_out) -> (n_obs, n_out)

By compiled kernels on a CPU in float32, elsewhere by torch's embedding bag; both cost in stored values, not features.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cellwright.kernels import sparse_linear
from cellwright.kernels.compiled import backend


def sparse_product(values: Tensor, columns: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight` for the CSR rows x; the gradient by `values` is there on the plain path only."""
    plain = values.requires_grad or values.dtype != torch.float32 or weight.dtype != torch.float32
    if plain or values.device.type != "cpu" or backend() == "torch":
        return functional.embedding_bag(
            columns, weight, starts.to(columns.dtype), mode="sum", per_sample_weights=values, include_last_offset=True
        )
    product: Tensor = _Product.apply(values, columns, starts, weight)
    return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, columns: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
        out = torch.zeros(len(starts) - 1, weight.shape[1])
        sparse_linear.product(
            values.numpy(), columns.numpy(), starts.numpy(), weight.detach().contiguous().numpy(), out.numpy()
        )
        ctx.save_for_backward(values, columns, starts)
        ctx.n_vars = weight.shape[0]
        return out

    @staticmethod
    def backward(ctx: Any, by_out: Tensor) -> tuple[None, None, None, Tensor]:
        values, columns, starts = (tensor.numpy() for tensor in ctx.saved_tensors)
        by_feature = torch.empty(ctx.n_vars + 1, dtype=torch.int64).numpy()
        rows, ordered = torch.empty(len(values), dtype=torch.int32).numpy(), torch.empty(len(values)).numpy()
        sparse_linear.by_feature(values, columns, starts, by_feature, rows, ordered)
        by_weight = torch.empty(ctx.n_vars, by_out.shape[1])
        sparse_linear.gradient(by_feature, rows, ordered, by_out.contiguous().numpy(), by_weight.numpy())
        return None, None, None, by_weight
