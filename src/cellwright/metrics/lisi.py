"""LISI: how many batches, or labels, a cell's neighbourhood holds in effect; of batches many are good, of labels one.

neighbours (n_obs, 90) -> weights of a Gaussian kernel with perplexity 30 -> shares of the groups around each cell
-> 1 / sum of squared shares (n_obs,) -> median over cells, scaled to 0..1
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric
from cellwright.metrics.neighbours import Neighbours, codes_beside

N_NEIGHBOURS = 90
CELLS_PER_BLOCK = 16_384  # their weights take 12 MB
TOLERANCE = 1e-5  # of the entropy, in nats
AT_MOST_STEPS = 50


def ilisi(neighbours: Neighbours, batches: Labels) -> float:
    """(median LISI - 1) / (n_batches - 1) of the batches: 0 for neighbours of one batch, 1 for all alike [Korsunsky19].

    The scaling is that of scIB [Luecken22]. It does not know of cell types: batches of other compositions cannot reach
    1 without mixing them. Raises `DataError` for a single batch, a cell without a batch, or no neighbours.
    """
    lisi, names = lisi_of(neighbours, batches, "batches", "ilisi")
    return _many(np.median(lisi), len(names))


def ilisi_by_label(labels_true: Labels, neighbours: Neighbours, batches: Labels) -> dict[str, float]:
    """The same median over the cells of each label; NaN for a label in one batch only, which has none to mix with."""
    lisi, names = lisi_of(neighbours, batches, "batches", "ilisi")
    codes, labels = codes_of(labels_true, "labels_true")
    of_batch, _ = codes_beside(neighbours, batches, "batches")
    return {
        label: _many(np.median(lisi[codes == code]), len(names))
        if len(np.unique(of_batch[codes == code])) > 1
        else float("nan")
        for code, label in enumerate(labels)
    }


def clisi(neighbours: Neighbours, labels_true: Labels) -> float:
    """(n_labels - median LISI) / (n_labels - 1) of the labels: 1 for neighbours of one label, 0 for all alike.

    More than half of the cells deep within their types make it 1 [Luecken22]: it sees gross mistakes only. Raises
    `DataError` for a single label, a cell without one, or no neighbours.
    """
    lisi, names = lisi_of(neighbours, labels_true, "labels_true", "clisi")
    return 1 - _many(np.median(lisi), len(names))


def clisi_by_label(labels_true: Labels, neighbours: Neighbours) -> dict[str, float]:
    """The same over the cells of each label: which of them lie among other labels."""
    lisi, names = lisi_of(neighbours, labels_true, "labels_true", "clisi")
    codes, _ = codes_of(labels_true, "labels_true")
    return {name: 1 - _many(np.median(lisi[codes == code]), len(names)) for code, name in enumerate(names)}


def _many(lisi: float, n_groups: int) -> float:
    """0 for one group, 1 for all of them alike; the inverse of a sum of squares may be off by its rounding."""
    return float(np.clip((lisi - 1) / (n_groups - 1), 0, 1))


def lisi_of(neighbours: Neighbours, groups: Labels, role: str, metric: str) -> tuple[np.ndarray, list[str]]:
    """The index of each cell `(n_obs,)` and the groups' names."""
    codes, names = codes_beside(neighbours, groups, role)
    if len(names) < 2:
        raise DataError(f"{metric} needs {role} of at least two groups; all cells are {names[0]!r}. Give more cells.")
    near = neighbours.first(N_NEIGHBOURS)
    lisi = np.empty(near.n_obs)
    for start in range(0, near.n_obs, CELLS_PER_BLOCK):
        block = slice(start, start + CELLS_PER_BLOCK)
        weights = kernel_weights(near.distances[block].astype(np.float64), near.indices.shape[1] // 3)
        around = codes[near.indices[block]]
        shares = np.stack([(weights * (around == code)).sum(axis=1) for code in range(len(names))])
        lisi[block] = 1 / (shares**2).sum(axis=0)
    return lisi, names


def kernel_weights(distances: np.ndarray, perplexity: int) -> np.ndarray:
    """Weights `(n_obs, n_neighbors)` in proportion to exp(-beta d), with a beta per cell that gives the perplexity.

    Rows sum to 1; their entropy is log(perplexity) up to the tolerance, where a beta exists that makes it so: with as
    many equal distances as there are neighbours it does not, and all weigh the same. d is the distance, not its square,
    as in the authors' code. Distances count from the nearest neighbour's, which changes no weight: without that, a cell
    far from all others would have only zeros.
    """
    further = distances - distances[:, :1]
    target = np.log(max(perplexity, 1))
    beta, low, high = np.ones(len(further)), np.zeros(len(further)), np.full(len(further), np.inf)
    open_rows = np.arange(len(further))
    weights = np.empty_like(further)
    for _ in range(AT_MOST_STEPS + 1):
        weights[open_rows], entropy = _softmin(further[open_rows], beta[open_rows])
        too_wide = entropy > target
        low[open_rows[too_wide]] = beta[open_rows[too_wide]]
        high[open_rows[~too_wide]] = beta[open_rows[~too_wide]]
        open_rows = open_rows[np.abs(entropy - target) >= TOLERANCE]
        if not len(open_rows):
            break
        unbounded = np.isinf(high[open_rows])
        beta[open_rows] = np.where(unbounded, beta[open_rows] * 2, (low[open_rows] + high[open_rows]) / 2)
    return weights


def _softmin(distances: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised exp(-beta d) and its entropy in nats."""
    exponents = distances * beta[:, None]
    weights = np.exp(-exponents)
    total = weights.sum(axis=1)
    weights /= total[:, None]
    return weights, np.log(total) + (exponents * weights).sum(axis=1)


ILISI = Metric(
    function=ilisi,
    title="Batches in a neighbourhood (iLISI)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours", "batches"),
    citation="Korsunsky19",
    by_label=ilisi_by_label,
)

CLISI = Metric(
    function=clisi,
    title="Labels in a neighbourhood (cLISI)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours", "labels_true"),
    citation="Korsunsky19",
    by_label=clisi_by_label,
)
