"""E-distance: how far apart two samples of cells are, beyond what cells of one sample are from each other.

x_treated (n_treated, n_vars), x_predicted (n_predicted, n_vars) -> Euclidean distances, block by block
-> 2 mean |treated - predicted| - mean |treated - treated'| - mean |predicted - predicted'|
"""

import numpy as np

from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import check_cells
from cellwright.metrics.two_samples import in_own_order

AT_MOST_CELLS = 5000  # of each side; the time grows with their square
BLOCK_MB = 64  # of distances held at once


def e_distance(x_treated: np.ndarray, x_predicted: np.ndarray) -> float:
    """The energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| [Szekely13], by its unbiased estimate.

    Distances are Euclidean, in the unit of the values and over all features given; a cell is not compared with itself,
    so that the expectation is 0 where the distributions are equal, and the estimate may be a little below 0. Means that
    are right are not enough: predicted cells that vary too little are as far away as cells of other means. Give
    log-normalised values.

    At most 5,000 cells of each side are used, which depend on nothing but the values (see `two_samples`). Raises
    `DataError` where the features differ in number or a side has fewer than two cells.
    """
    check_cells("e_distance", 2, x_treated=x_treated, x_predicted=x_predicted)
    treated, predicted = (
        in_own_order(side, AT_MOST_CELLS) if len(side) > AT_MOST_CELLS else side for side in (x_treated, x_predicted)
    )
    between = _sum_of_distances(treated, predicted) / (len(treated) * len(predicted))
    within = [_sum_of_distances(side) / (len(side) * (len(side) - 1)) for side in (treated, predicted)]
    return 2 * between - sum(within)


def _sum_of_distances(a: np.ndarray, b: np.ndarray | None = None) -> float:
    """Over all ordered pairs; without `b` within `a`, where the distance of a cell from itself is exactly 0."""
    from sklearn.metrics import pairwise_distances_chunked  # takes two seconds, and a report needs only the titles

    blocks = pairwise_distances_chunked(a, b, reduce_func=_sum_by_cell, working_memory=BLOCK_MB)
    return float(sum(block.sum() for block in blocks))


def _sum_by_cell(distances: np.ndarray, start: int) -> np.ndarray:
    return distances.sum(axis=1, dtype=np.float64)


E_DISTANCE = Metric(
    function=e_distance,
    title="E-distance",
    task="perturb",
    better="lower",
    bounds=(-np.inf, np.inf),  # the distance is not below 0, its estimate may be
    needs=("x_treated", "x_predicted"),
    citation="Szekely13",
)
