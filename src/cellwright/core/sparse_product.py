"""Sparse product by compiled kernels: CSR rows times a dense weight, differentiable in the weight.

    (values, columns, starts) x weight (n_vars, n_out) -> (n_obs, n_out)

The cost is in stored values, not in features, as it is for torch's embedding bag, at a part of its time.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwright.kernels.compiled import backend

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # values float32, columns int32, starts int64


def has_kernels(*tensors: Tensor) -> bool:
    """Whether the kernels can compute with these: float32 on a CPU."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors) and backend() == "numba"


def row_sums(rows: Arrays) -> Tensor:
    """The sum of each row, (n_obs,)."""
    from cellwright.kernels import sparse_linear

    values, _, starts = rows
    out = np.empty(len(starts) - 1, np.float32)
    sparse_linear.row_sums(values, starts, out)
    return torch.from_numpy(out)


def sparse_product(rows: Arrays, weight: Tensor) -> Tensor:
    """`x @ weight` for the CSR rows x; differentiable once."""
    product: Tensor = _Product.apply(rows, weight)
    return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Arrays, weight: Tensor) -> Tensor:
        from cellwright.kernels import sparse_linear

        out = np.zeros((len(rows[2]) - 1, weight.shape[1]), np.float32)
        sparse_linear.product(*rows, weight.detach().contiguous().numpy(), out)
        ctx.rows, ctx.n_vars = rows, weight.shape[0]
        return torch.from_numpy(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[None, Tensor]:
        from cellwright.kernels import sparse_linear

        values, columns, starts = ctx.rows
        of_feature = np.empty(ctx.n_vars + 1, np.int64)
        rows, by_feature = np.empty(len(values), np.int32), np.empty(len(values), np.float32)
        sparse_linear.by_feature(values, columns, starts, of_feature, rows, by_feature)
        by_weight = torch.empty(ctx.n_vars, by_out.shape[1], dtype=torch.float32)
        sparse_linear.gradient(of_feature, rows, by_feature, by_out.contiguous().numpy(), by_weight.numpy())
        return None, by_weight
