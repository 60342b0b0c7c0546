"""Graph connectivity: can one walk between the cells of a label along nearest neighbours, without leaving the label.

neighbours (n_obs, 15) -> edges within a label -> largest strongly connected part / cells -> mean over labels
"""

from typing import TYPE_CHECKING

import numpy as np

from cellwright.metrics.labels import Labels
from cellwright.metrics.metric import Metric, mean_over_labels
from cellwright.metrics.neighbours import Neighbours, codes_beside

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_NEIGHBOURS = 15


def graph_connectivity(neighbours: Neighbours, labels_true: Labels) -> float:
    """The mean over labels of the share of their cells in the largest strongly connected part [Luecken22].

    An edge goes from a cell to each of its 15 nearest neighbours, so a cell that is nobody's neighbour is a part by
    itself. It falls where integration tears a label apart, and says nothing of labels thrown together. A label of a
    single cell is left out: it would be connected by definition. Raises `DataError` where no label has two cells, for
    a cell without a label, and for no neighbours.
    """
    return mean_over_labels(connectivity_by_label(labels_true, neighbours), "graph_connectivity", "two cells or more")


def connectivity_by_label(labels_true: Labels, neighbours: Neighbours) -> dict[str, float]:
    """The share of each label, by its name; NaN for a label of a single cell."""
    codes, names = codes_beside(neighbours, labels_true, "labels_true")
    graph = neighbours.first(N_NEIGHBOURS).graph()
    return {name: _largest_part(graph, np.flatnonzero(codes == code)) for code, name in enumerate(names)}


def _largest_part(graph: "csr_matrix", rows: np.ndarray) -> float:
    from scipy.sparse.csgraph import connected_components

    if len(rows) < 2:
        return float("nan")
    _, part = connected_components(graph[rows][:, rows], connection="strong")
    return float(np.bincount(part).max() / len(rows))


GRAPH_CONNECTIVITY = Metric(
    function=graph_connectivity,
    title="Connectivity of the labels",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours", "labels_true"),
    citation="Luecken22",
    by_label=connectivity_by_label,
    mean_over="labels",
)
