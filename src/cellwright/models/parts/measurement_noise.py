"""Measurement noise: how far two measurements of one cell lie apart, without a second measurement.

training cells -each molecule to one of two halves-> two cells of half the depth -features-> mean squared distance / 2

If counts are Poisson, the halves are independent and the noise of each is that of a measurement of half the depth,
whose variance in the features is about twice that of the whole [Batson19].
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.data.source import Source, in_order
from cellwright.data.thinning import in_memory, thinned

MAX_CELLS = 5_000  # a mean needs no more


@torch.no_grad()
def measurement_noise(
    source: Source,
    rows: np.ndarray,
    features: Callable[[Minibatch], Float[Tensor, "n_obs n_features"]],
    rng: np.random.Generator,
) -> float:
    """The mean squared distance of two measurements of a cell in its features, at the depth that the cells have."""
    if len(rows) > MAX_CELLS:
        rows = np.sort(rng.choice(rows, MAX_CELLS, replace=False))
    parts = thinned(source, rows, 0.5, rng)
    halves = parts.kept, in_memory(parts.kept, np.arange(len(rows)), parts.hidden)
    first, second = (torch.cat([features(m) for m in in_order(half, None, 1024)]) for half in halves)
    # depth moves the mean of all cells: that is no noise
    apart = (first - first.mean(dim=0)) - (second - second.mean(dim=0))
    return float(apart.square().sum(dim=1).mean()) / 2
