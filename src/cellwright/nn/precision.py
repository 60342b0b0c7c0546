"""Precision: which layers leave mixed precision alone.

On a CPU a layer of some hundred units gains less from bfloat16 than casting its weights and inputs costs at every step;
the products over all features, in the likelihood's head, are what it is for.
"""

from contextlib import AbstractContextManager, nullcontext

import torch


def float32_on_cpu(device: torch.device) -> AbstractContextManager[None]:
    """Inside, small layers on a CPU compute in float32 also under autocast; on other devices nothing changes."""
    if device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return torch.autocast("cpu", enabled=False)
    return nullcontext()
