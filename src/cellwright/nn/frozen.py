"""Frozen: a part that is trained already, used by one that is being trained.

with frozen(module): evaluation mode (no dropout, no moving averages), no gradients; afterwards as it was
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, `module` evaluates and nothing is differentiated."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
