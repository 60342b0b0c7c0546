"""Neighbours in the tissue: those that brute force finds, never across sections, whatever the places."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cellwright.data.place_graph import PlaceGraphOptions, place_graph, undirected
from cellwright.errors import DataError, OptionError

KINDS = [
    pytest.param(PlaceGraphOptions(n_neighbors=3), id="nearest"),
    pytest.param(PlaceGraphOptions(kind="radius", radius=0.3), id="radius"),
    pytest.param(PlaceGraphOptions(kind="delaunay"), id="delaunay"),
]
DELAUNAY = PlaceGraphOptions(kind="delaunay")


@pytest.fixture
def places():
    return np.random.default_rng(0).random((80, 2))


def one_section(places):
    return np.zeros(len(places), dtype=np.int64)


def neighbours(graph, row):
    return set(graph[[row]].indices.tolist())


def test_nearest_equals_sorting_all_distances(places):
    graph = place_graph(places, one_section(places), PlaceGraphOptions(n_neighbors=5))
    distance = cdist(places, places)
    np.fill_diagonal(distance, np.inf)
    for row in range(len(places)):
        assert neighbours(graph, row) == set(np.argsort(distance[row])[:5].tolist())


def test_radius_equals_a_threshold_of_all_distances(places):
    graph = place_graph(places, one_section(places), PlaceGraphOptions(kind="radius", radius=0.2))
    expected = (cdist(places, places) <= 0.2) & ~np.eye(len(places), dtype=bool)
    np.testing.assert_array_equal(graph.toarray() > 0, expected)


def test_delaunay_of_a_square_with_its_centre():
    square = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]])
    graph = place_graph(square, one_section(square), DELAUNAY)
    assert neighbours(graph, 4) == {0, 1, 2, 3}
    assert neighbours(graph, 0) == {1, 2, 4}


@pytest.mark.parametrize("options", KINDS)
def test_no_edge_crosses_sections_and_each_section_is_as_it_would_be_alone(options, places):
    section = np.random.default_rng(1).choice(["a", "b", "c"], len(places))
    graph = place_graph(places, section, options)
    takers, givers = graph.nonzero()
    assert (section[takers] == section[givers]).all()
    for name in "abc":
        rows = np.flatnonzero(section == name)
        alone = place_graph(places[rows], one_section(rows), options)
        np.testing.assert_array_equal(graph[rows][:, rows].toarray(), alone.toarray())


@pytest.mark.parametrize("options", KINDS)
def test_sections_of_one_and_of_two_cells(options):
    places = np.array([[0.0, 0], [0.1, 0], [0.2, 0]])
    graph = place_graph(places, np.array([0, 1, 1]), options)
    np.testing.assert_array_equal(graph.toarray(), [[0, 0, 0], [0, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize("options", KINDS)
def test_cells_at_one_place_are_neighbours_and_none_is_its_own(options):
    places = np.zeros((6, 2))
    graph = place_graph(places, one_section(places), options)
    assert graph.diagonal().sum() == 0
    assert graph.sum(axis=1).tolist() == [3 if options.kind == "nearest" else 5] * 6


@pytest.mark.parametrize("direction", [[1.0, 0], [0, 1], [1, 2]], ids=["across", "up", "slanted"])
def test_delaunay_of_places_on_a_line_is_the_line(direction):
    order = np.random.default_rng(2).permutation(7)
    places = order[:, None] * np.array(direction)
    graph = place_graph(places, one_section(places), DELAUNAY)
    for row, position in enumerate(order):
        assert {int(order[other]) for other in neighbours(graph, row)} == {position - 1, position + 1} & set(range(7))


def test_delaunay_links_cells_of_one_place_to_the_neighbours_of_the_place():
    square = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5], [0.5, 0.5]])
    graph = place_graph(square, one_section(square), DELAUNAY)
    assert neighbours(graph, 4) == {0, 1, 2, 3, 5}
    assert neighbours(graph, 5) == {0, 1, 2, 3, 4}


def test_places_of_three_coordinates_have_tetrahedra():
    places = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    graph = place_graph(places, one_section(places), DELAUNAY)
    assert graph.nnz == 12


@pytest.mark.parametrize("options", KINDS)
def test_the_order_of_cells_does_not_matter(options, places):
    order = np.random.default_rng(3).permutation(len(places))
    graph = place_graph(places, one_section(places), options).toarray()
    again = place_graph(places[order], one_section(places), options).toarray()
    np.testing.assert_array_equal(again, graph[order][:, order])


def test_undirected_has_each_edge_in_both_directions(places):
    graph = place_graph(places, one_section(places), PlaceGraphOptions(n_neighbors=3))
    both = undirected(graph).toarray()
    np.testing.assert_array_equal(both, np.maximum(graph.toarray(), graph.toarray().T))


def test_places_that_are_not_finite_are_refused(places):
    places[3, 0] = np.nan
    with pytest.raises(DataError, match=r"places must be finite numbers; 1 cells have others"):
        place_graph(places, one_section(places))


def test_places_and_sections_of_other_cells_are_refused(places):
    with pytest.raises(DataError, match="of the same cells"):
        place_graph(places, one_section(places)[1:])


@pytest.mark.parametrize(
    "options",
    [{"kind": "radius"}, {"kind": "delaunay", "radius": 1.0}, {"kind": "delaunay", "n_neighbors": 3}, {"radius": 1.0}],
    ids=str,
)
def test_an_option_that_would_change_nothing_is_refused(options):
    with pytest.raises(OptionError):
        PlaceGraphOptions(**options)
