"""Infer: a fitted model over all cells, in the input's order, a block at a time.

Source -> minibatches in order -> model.encode / log_prob / decode -> arrays
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.data.source import Source, in_order

BLOCK_ROWS = 2048


@torch.no_grad()
def over_cells(
    function: Callable[[Minibatch], Tensor],
    source: Source,
    rows: np.ndarray | None = None,
    block_rows: int = BLOCK_ROWS,
) -> np.ndarray:
    """`function` of every cell (or of `rows`), stacked in order; memory is that of one block and of the result."""
    pieces = [function(minibatch).cpu().numpy() for minibatch in in_order(source, rows, block_rows)]
    return np.concatenate(pieces)
