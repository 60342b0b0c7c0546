"""kBET: within a label, are the batches around a cell what a draw from all of the label would give.

neighbours (n_obs, 50) -> connectivities -> cells of one label -> nearest by diffusion (n_cells, k0)
-> chi-squared test of their batches -> share of cells that pass -> mean over labels
"""

from typing import TYPE_CHECKING

import numpy as np

from cellwright.metrics.connectivities import connectivities
from cellwright.metrics.diffusion import diffusion_map
from cellwright.metrics.labels import Labels
from cellwright.metrics.metric import Metric, mean_over_labels
from cellwright.metrics.neighbours import Neighbours, codes_beside

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_NEIGHBOURS = 50
LEAST_CELLS = 10  # of a label
LEAST_TESTED, MOST_TESTED = 10, 70  # neighbours
LEAST_SHARE = 0.75  # of a label's cells in parts that are large enough
ALPHA = 0.05


def kbet(neighbours: Neighbours, labels_true: Labels, batches: Labels) -> float:
    """The mean over labels of the share of cells whose neighbourhood passes the test [Buttner19], as scIB [Luecken22].

    Neighbours are sought within the label by diffusion on the graph of the 50 nearest cells; k0, how many, is a quarter
    of the mean number of cells of a batch, between 10 and 70. A cell passes where the chi-squared test of its
    neighbours' batches against those of the label has p >= .05, so that perfect mixing is about .95. A label whose
    graph falls apart (under 75 % of its cells in parts of 3 k0 cells) counts 0. Labels of under ten cells or in one
    batch are left out. The strictest of its kind: with many cells a slight shift fails everywhere.

    Raises `DataError` where no label is left, for a cell without label or batch, and for no neighbours.
    """
    label = f"{LEAST_CELLS} cells or more of two batches"
    return mean_over_labels(kbet_by_label(labels_true, neighbours, batches), "kbet", label)


def kbet_by_label(labels_true: Labels, neighbours: Neighbours, batches: Labels) -> dict[str, float]:
    """The share of each label, by its name; NaN for a label of under ten cells or in one batch only."""
    labels, names = codes_beside(neighbours, labels_true, "labels_true")
    of_batch, _ = codes_beside(neighbours, batches, "batches")
    graph = connectivities(neighbours.first(N_NEIGHBOURS))
    found = {}
    for code, name in enumerate(names):
        rows = np.flatnonzero(labels == code)
        found[name] = _of_label(graph[rows][:, rows], of_batch[rows])
    return found


def _of_label(graph: "csr_matrix", batch: np.ndarray) -> float:
    _, batch, sizes = np.unique(batch, return_inverse=True, return_counts=True)
    if len(batch) < LEAST_CELLS or len(sizes) < 2:
        return float("nan")
    k0 = int(np.clip(sizes.mean() // 4, LEAST_TESTED, MOST_TESTED))
    parts = _parts(graph, at_least=3 * k0)
    if sum(map(len, parts)) < LEAST_SHARE * len(batch):
        return 0.0
    expected = np.bincount(batch[np.concatenate(parts)], minlength=len(sizes))
    near = [part[_nearest(diffusion_map(graph[part][:, part]), k0)] for part in parts]
    return float(np.mean(np.concatenate([passes(batch[rows], expected) for rows in near])))


def _parts(graph: "csr_matrix", at_least: int) -> list[np.ndarray]:
    """The rows of each connected part that is large enough, or of the only one whatever its size.

    scib-metrics seeks neighbours in all parts together; a walk does not leave its part, so here each is by itself.
    """
    from scipy.sparse.csgraph import connected_components

    n_parts, part = connected_components(graph, directed=False)
    rows = [np.flatnonzero(part == number) for number in range(n_parts)]
    return rows if n_parts == 1 else [cells for cells in rows if len(cells) >= at_least]


def _nearest(coordinates: np.ndarray, n_neighbors: int) -> np.ndarray:
    """The nearest other cells `(n_obs, n_neighbors)`, fewer where there are fewer. scib-metrics counts the cell too."""
    from sklearn.neighbors import NearestNeighbors  # takes two seconds, and a report needs only the titles

    n_neighbors = min(n_neighbors, len(coordinates) - 1)
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(coordinates)
    return search.kneighbors(return_distance=False)


def passes(near: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which cells `(n_obs,)` have neighbours of batches `near (n_obs, n_neighbors)`, codes, as `expected (n_batches,)`.

    `expected` are cells of each batch in all. None passes where a single batch has any: the others lie apart.
    """
    from scipy.special import chdtrc

    present = np.flatnonzero(expected)
    if len(present) < 2:
        return np.zeros(len(near), dtype=bool)
    counts = np.stack([(near == code).sum(axis=1) for code in present], axis=1)
    wanted = near.shape[1] * expected[present] / expected.sum()
    statistic = ((counts - wanted) ** 2 / wanted).sum(axis=1)
    return chdtrc(len(present) - 1, statistic) >= ALPHA


KBET = Metric(
    function=kbet,
    title="Neighbourhoods that pass for mixed (kBET)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours", "labels_true", "batches"),
    citation="Buttner19",
    by_label=kbet_by_label,
    mean_over="labels",
)
