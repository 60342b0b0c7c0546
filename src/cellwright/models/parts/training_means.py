"""Training means: mean values of the training cells by label and condition, without holding the cells in memory.

source, rows -transform, a block of cells at a time-> Means (n_labels, n_conditions, n_vars)
"""

from typing import Literal

import numpy as np

from cellwright.data.source import Source, in_order
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.models.parts.responses import Means, Sums
from cellwright.nn import transform as transforms

# the scales on which responses are predicted: log(1 + 10,000 x / library), or values as they are
Scale = Literal["log_normalise", "none"]


def training_means(source: Source, rows: np.ndarray, scale: Scale) -> Means:
    """The means of `rows`, every cell counted once."""
    sums = Sums(source.schema, source.schema.n_vars)
    for minibatch in in_order(source, rows, BLOCK_ROWS):
        values = transforms.apply(scale, minibatch.x).dense().numpy()
        sums.add(values, minibatch.label.numpy(), minibatch.condition.numpy(), minibatch.weight.numpy())
    return sums.means
