"""Graph connectivity: a torn label counts its largest part, an edge counts one way, a single cell not at all."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.graph_connectivity import connectivity_by_label, graph_connectivity
from cellwright.metrics.neighbours import Neighbours


def ring(cells: list[int]) -> dict[int, int]:
    return dict(zip(cells, [*cells[1:], cells[0]], strict=True))


def of(edges: dict[int, int]) -> Neighbours:
    indices = np.array([[edges[cell]] for cell in range(len(edges))])
    return Neighbours(indices, np.ones(indices.shape))


def test_a_label_in_two_pieces_counts_the_larger_one():
    near = of(ring([0, 1, 2]) | ring([3, 4]) | ring([5, 6, 7]))
    labels = np.repeat(["torn", "whole"], [5, 3])
    assert connectivity_by_label(labels, near) == pytest.approx({"torn": 3 / 5, "whole": 1})
    assert graph_connectivity(near, labels) == pytest.approx((3 / 5 + 1) / 2)


def test_a_cell_that_is_nobodys_neighbour_is_a_piece_of_its_own():
    near = of(ring([0, 1, 2]) | {3: 0})
    assert graph_connectivity(near, np.full(4, "T")) == pytest.approx(3 / 4)


def test_a_way_through_another_label_does_not_count():
    near = of(ring([0, 1, 2, 3]))
    assert connectivity_by_label(["T", "T", "T", "B"], near)["T"] == pytest.approx(1 / 3)


def test_a_label_of_one_cell_has_no_value_and_is_in_no_mean():
    near = of(ring([0, 1, 2, 3]))
    found = connectivity_by_label(["T", "T", "T", "B"], near)
    assert np.isnan(found["B"])
    assert graph_connectivity(near, ["T", "T", "T", "B"]) == found["T"]
    with pytest.raises(DataError, match="two cells or more; none of 4 has"):
        graph_connectivity(near, list("abcd"))


def test_more_than_fifteen_neighbours_are_not_looked_at():
    # the sixteenth is the only way round
    indices = np.array([[(cell + step) % 40 for step in range(1, 16)] + [(cell - 1) % 40] for cell in range(40)])
    indices[39, :15] = np.arange(16, 31)
    indices[:24, :15] = np.array([[c for c in range(25) if c != cell][:15] for cell in range(24)])
    near = Neighbours(indices, np.ones(indices.shape))
    assert graph_connectivity(near, np.full(40, "T")) == graph_connectivity(near.first(15), np.full(40, "T"))
