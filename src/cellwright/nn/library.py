"""Library: means are scaled to the molecules that a cell has.

means (n_obs, n_vars), library (n_obs, 1) -> means whose rows have that total
"""

from jaxtyping import Float
from torch import Tensor


def at_library(
    means: Float[Tensor, "n_obs n_vars"], library: Float[Tensor, "n_obs 1"]
) -> Float[Tensor, "n_obs n_vars"]:
    """Means scaled to the total of each cell; a row of zeros stays one."""
    return means * (library / means.sum(dim=1, keepdim=True).clamp(min=1e-12))
