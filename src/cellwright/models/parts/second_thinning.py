"""Second thinning: how a model chooses its settings without any cell or molecule that it is scored by.

    training cells -a tenth of their molecules hidden again-> kept, hidden
    settings -a model of kept-> expected counts -Poisson deviance of hidden-> the best setting

References: [Batson19], who choose the number of components and of neighbours so.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.data.source import Source, in_order
from cellwright.data.thinning import Thinned, thinned
from cellwright.errors import DataError

KEPT = 0.9  # of the molecules of each cell
MAX_CELLS = 20_000  # that are thinned: the models that choose so keep no more cells as references
MAX_ASKED = 2_000  # of these, cells whose hidden molecules are predicted: one setting more or less, not a score
SMALLEST = 1e-3  # expected counts in the kept molecules; as in the metric `poisson_deviance`

Setting = TypeVar("Setting")


def thinned_again(source: Source, rows: np.ndarray, rng: np.random.Generator) -> Thinned:
    """A sample of the training cells in two parts, without those of which no molecule is kept.

    Raises `DataError` where no cell keeps a molecule.
    """
    if len(rows) > MAX_CELLS:
        rows = np.sort(rng.choice(rows, MAX_CELLS, replace=False))
    parts = thinned(source, rows, KEPT, rng)
    library = np.concatenate([m.library[:, 0].numpy() for m in in_order(parts.kept)])
    if not (library > 0).any():
        raise DataError(
            f"settings are chosen by hiding a tenth of the molecules; of {len(rows)} cells none keeps any. Give the "
            "settings, or cells with more molecules."
        )
    return parts.of_cells(np.flatnonzero(library > 0))


@torch.no_grad()
def best_setting(
    parts: Thinned,
    settings: Sequence[Setting],
    expected: Callable[[Minibatch], Iterable[Float[Tensor, "n_obs n_vars"]]],
    rng: np.random.Generator,
) -> Setting:
    """The setting with the least Poisson deviance of the hidden molecules; of equal ones the first.

    `expected` gives for every setting what is expected of a second measurement of the kept cells of a minibatch.
    """
    n_obs = parts.kept.n_obs
    asked = np.arange(n_obs) if n_obs <= MAX_ASKED else np.sort(rng.choice(n_obs, MAX_ASKED, replace=False))
    total = torch.zeros(len(settings), dtype=torch.float64)
    start = 0
    for minibatch in in_order(parts.kept, asked, 512):
        hidden = parts.hidden[asked[start : start + minibatch.n_obs]]
        total += torch.tensor([deviance(hidden, means) for means in expected(minibatch)], dtype=torch.float64)
        start += minibatch.n_obs
    return settings[int(total.argmin())]


def deviance(hidden: sparse.csr_matrix, means: Float[Tensor, "n_obs n_vars"]) -> float:
    """The Poisson deviance of hidden counts, but for what does not depend on the means; summed over all entries.

    `means` are of the kept molecules; those of the hidden ones are smaller by the shares of both.
    """
    rates = means.clamp(min=SMALLEST) * ((1 - KEPT) / KEPT)
    counts = hidden.tocoo()
    at = torch.from_numpy(counts.row.astype(np.int64)), torch.from_numpy(counts.col.astype(np.int64))
    return float(2 * (rates.double().sum() - (torch.from_numpy(counts.data) * rates[at].log()).double().sum()))
