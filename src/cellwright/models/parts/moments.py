"""Moments: mean and variance of every feature over training cells, a dense block of cells at a time.

    source, rows, values of a block (n_obs, n_vars) -> mean (n_vars,), variance (n_vars,)

A value that was not measured (NaN) is left out, and is the mean where a number is needed (`filled`).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.nn.transform import Transform, support_of

BLOCK_ROWS = 1024  # cells made dense at a time


def moments(
    source: Source, rows: np.ndarray, values: Callable[[Minibatch], Tensor], device: torch.device
) -> tuple[Float[Tensor, " n_vars"], Float[Tensor, " n_vars"]]:
    """Mean and (population) variance of each feature over what was measured, summed in float64; 0 and 0 if nothing was.

    `values` gives the dense values of a minibatch, NaN where there is none.
    """
    n, total, squares = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for minibatch in in_order(source, rows, BLOCK_ROWS):
        block = values(minibatch.to(device)).double()
        known = ~block.isnan()
        block = block.where(known, 0.0)
        n = n + known.sum(dim=0)
        total, squares = total + block.sum(dim=0), squares + block.square().sum(dim=0)
    mean = total / n.clamp(min=1)
    return mean, (squares / n.clamp(min=1) - mean.square()).clamp(min=0)


def filled(values: Float[Tensor, "n_obs n_vars"], mean: Float[Tensor, " n_vars"]) -> Float[Tensor, "n_obs n_vars"]:
    """The values, with the feature's mean where there is none."""
    return torch.where(values.isnan(), mean, values)


def support_with_gaps(transform: Transform, schema: Schema) -> Support:
    """Which values a model that fills gaps with means can use: those of its transform; of sequences, gaps too.

    Values of cells have no gaps: NaN there is a mistake that a mean would hide.
    """
    return Support.missing if schema.steps is not None and transform == "none" else support_of(transform)
