"""A linear layer whose input is sparse; its cost is in stored values, not in features.

SparseRows (n_obs, n_in) -> (n_obs, n_out)
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import SparseRows


class SparseLinear(nn.Module):
    """`x @ weight + bias`; `weight (n_in, n_out)` lies transposed to `nn.Linear`, so that one feature is one row."""

    def __init__(self, n_in: int, n_out: int, *, bias: bool = True) -> None:
        super().__init__()
        # the bounds of nn.Linear, so that replacing one by the other changes nothing
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x: SparseRows) -> Float[Tensor, "n_obs n_out"]:
        h = x.matmul(self.weight)
        return h if self.bias is None else h + self.bias
