"""Neighbours kept: of the nearest cells in one representation, the share that is nearest in another one, too.

neighbours before, neighbours after (n_obs, n_neighbors) -> common ones / before.indices.shape[1] -> mean over cells
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric
from cellwright.metrics.neighbours import Neighbours


def neighbours_kept(neighbours_before: Neighbours, neighbours: Neighbours) -> float:
    """The mean share of a cell's nearest cells that both representations agree on [Lee09].

    Of the same cells in the same order, with the same number of neighbours. By chance it is n_neighbors / (n_obs - 1).
    Integration must move neighbours of other batches in: to see what it keeps, seek neighbours within one batch. Raises
    `DataError` where cells or neighbours differ in number.
    """
    return float(_kept(neighbours_before, neighbours).mean())


def kept_by_label(labels_true: Labels, neighbours_before: Neighbours, neighbours: Neighbours) -> dict[str, float]:
    """The mean share over the cells of each label, by its name."""
    codes, names = codes_of(labels_true, "labels_true")
    kept = _kept(neighbours_before, neighbours)
    return {name: float(kept[codes == code].mean()) for code, name in enumerate(names)}


def _kept(before: Neighbours, after: Neighbours) -> np.ndarray:
    if before.indices.shape != after.indices.shape or not before.indices.size:
        raise DataError(
            "neighbours_kept needs as many neighbours of the same cells on either side, at least one; their shapes are "
            f"{before.indices.shape} and {after.indices.shape}. Seek as many in both representations."
        )
    both = np.sort(np.concatenate([before.indices, after.indices], axis=1), axis=1)
    # no side names a cell twice, so what stands twice in a row is on both sides
    return (both[:, 1:] == both[:, :-1]).sum(axis=1) / before.indices.shape[1]


NEIGHBOURS_KEPT = Metric(
    function=neighbours_kept,
    title="Neighbours kept",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours_before", "neighbours"),
    citation="Lee09",
    by_label=kept_by_label,
)
