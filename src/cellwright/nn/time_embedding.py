"""Time embedding: a number becomes waves of many lengths, of which a network can make any smooth function.

t (n_obs,) -> sin and cos of t times frequencies (n_obs, width)

References: [Vaswani17], section 3.5; [Ho20] for the time of a diffusion.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_FREQUENCY = 100.0  # radians per unit of time; faster waves tell times apart that look alike


def time_embedding(t: Float[Tensor, " n_obs"], width: int) -> Float[Tensor, "n_obs width"]:
    """Sines, then cosines, of frequencies that rise geometrically from 1; `width` is even and 4 at least."""
    steps = torch.arange(width // 2, device=t.device, dtype=t.dtype) / (width // 2 - 1)
    phases = t[:, None] * LARGEST_FREQUENCY**steps
    return torch.cat([phases.sin(), phases.cos()], dim=1)
