"""Neighbours are of other cells, and whoever reads them gets a label for each."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics.neighbours import Neighbours, codes_beside

THREE = Neighbours(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[1.0, 3.0], [1.0, 2.0], [2.0, 3.0]]))


def test_the_first_of_them_are_the_nearest():
    assert THREE.first(1).indices.tolist() == [[1], [0], [1]]
    assert THREE.first(1).distances.tolist() == [[1.0], [1.0], [2.0]]
    assert THREE.first(90).indices.shape == (3, 2)


def test_a_graph_has_an_edge_from_each_cell_to_each_of_its_neighbours():
    assert THREE.first(1).graph().toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert THREE.first(1).graph(np.array([[2.0], [3.0], [4.0]])).toarray().tolist() == [[0, 2, 0], [3, 0, 0], [0, 4, 0]]


@pytest.mark.parametrize(
    ("indices", "distances", "sentence"),
    [
        ([[0], [0]], [[0.0], [1.0]], "some are the cell itself"),
        ([[1], [2]], [[1.0], [1.0]], "0 to 1; some are"),
        ([[1], [-1]], [[1.0], [1.0]], "or no cell"),
        ([[1], [0]], [[1.0, 2.0], [1.0, 2.0]], "their shapes are"),
    ],
    ids=["itself", "beyond", "none", "shapes"],
)
def test_what_no_search_gives_is_refused(indices, distances, sentence):
    with pytest.raises(DataError, match=sentence):
        Neighbours(np.array(indices), np.array(distances))


def test_labels_must_be_of_the_same_cells_and_there_for_each():
    assert codes_beside(THREE, ["T", "B", "T"], "labels_true")[0].tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="they have 2 and 3 entries"):
        codes_beside(THREE, ["T", "B"], "labels_true")
    with pytest.raises(DataError, match="1 of 3 are missing"):
        codes_beside(THREE, ["T", None, "B"], "labels_true")
    with pytest.raises(DataError, match="0 neighbours each"):
        codes_beside(THREE.first(0), ["T", "B", "T"], "labels_true")
