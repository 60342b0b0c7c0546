"""Transforms of input values: SparseRows -> SparseRows, zero stays zero, so sparse stays sparse.

A transform lives in the model that uses it and is saved with its options: what was trained is what is applied later.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.core.minibatch import SparseRows
from cellwright.core.sparse_product import has_kernels
from cellwright.core.support import Support

Transform = Literal["log1p", "log_normalise", "none"]
TARGET_SUM = 1e4


def apply(transform: Transform, x: SparseRows) -> SparseRows:
    """`log1p`: log(1 + x). `log_normalise`: log(1 + x * 10,000 / library), as scanpy does. `none`: x."""
    if transform == "none":
        return x
    return (scaled_to_target(x) if transform == "log_normalise" else x).map(log1p)


def log1p(values: Tensor) -> Tensor:
    """log(1 + values), by a kernel where there is one."""
    if values.requires_grad or not has_kernels(values):
        return torch.log1p(values)
    from cellwright.kernels.values import log1p_of

    out = torch.empty(values.shape, dtype=torch.float32)
    log1p_of(values.reshape(-1).numpy(), out.view(-1).numpy())
    return out


def invert(
    transform: Transform, values: Float[Tensor, "n_obs n_vars"], library: Float[Tensor, "n_obs 1"]
) -> Float[Tensor, "n_obs n_vars"]:
    """The values on the scale of the data; what no data could be (negative counts) becomes zero."""
    if transform == "none":
        return values
    scale = library / TARGET_SUM if transform == "log_normalise" else 1.0
    return torch.expm1(values.clamp(min=0)) * scale


def log_normalised(
    values: Float[Tensor, "n_obs n_vars"], library: Float[Tensor, "n_obs 1"]
) -> Float[Tensor, "n_obs n_vars"]:
    """`log_normalise` of dense values by a library that is given; a cell without counts stays at zero."""
    return torch.log1p(values.clamp(min=0) * (TARGET_SUM / library.clamp(min=1e-12)))


def support_of(transform: Transform) -> Support:
    """Which values the transform is defined on."""
    return Support.real if transform == "none" else Support.non_negative


def scaled_to_target(x: SparseRows) -> SparseRows:
    """Every cell scaled to a total of `TARGET_SUM`; a cell without counts stays at zero."""
    return x.scale_rows(TARGET_SUM / x.sum_rows().clamp(min=1e-12))
