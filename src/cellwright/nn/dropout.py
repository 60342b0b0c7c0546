"""Dropout whose mask costs less than the layer it is for: on a CPU torch draws each of its numbers one after the other.

    h -> h * mask, mask = 0 with probability p, else 1 / (1 - p);  in evaluation h

References: [Srivastava14].
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cellwright.kernels.compiled import backend


class Dropout(nn.Module):
    """Draws from torch's global generator, as `nn.Dropout` does: one number, which keys the whole mask."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, h: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return h
        if h.device.type != "cpu" or backend() == "torch":
            return functional.dropout(h, self.p)
        from cellwright.kernels import noise

        mask = torch.empty(h.shape, dtype=torch.float32)
        key = np.uint64(torch.randint(2**63 - 1, ()).item())
        noise.keep(key, self.p, mask.view(-1).numpy())
        return h * mask.to(h.dtype)
