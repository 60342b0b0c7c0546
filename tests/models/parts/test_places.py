"""Neighbours by place: of the same section, the cell itself never, other cells at its place always."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from cellwright.core.schema import Categories, Coordinates, Schema
from cellwright.errors import DataError
from cellwright.models.parts.places import Placed, beside, refuse_strangers, spacing_of

SCHEMA = Schema(
    features={"X": ("g",)},
    batch=Categories(key="section", values=("s0", "s1")),
    coordinates=Coordinates(key="spatial", n=2),
)


def placed(n_obs=40, seed=0, section=None):
    rng = np.random.default_rng(seed)
    features, places = (torch.from_numpy(rng.normal(size=(n_obs, n)).astype(np.float32)) for n in (3, 2))
    return Placed(features, places, torch.zeros(n_obs, dtype=torch.int64) if section is None else section)


def test_neighbours_of_references_are_the_nearest_others():
    cells = placed()
    index, distance = beside(cells, cells, 5)
    expected = cdist(cells.places.double(), cells.places.double())
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_array_equal(index, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :5], rtol=1e-5)


def test_neighbours_are_of_the_same_section():
    cells = placed(section=torch.arange(40) % 2)
    index, _ = beside(cells, cells, 6)
    assert (cells.section[index] == cells.section[:, None]).all()


def test_a_section_with_fewer_cells_has_fewer_neighbours_and_a_single_cell_none():
    cells = placed(4, section=torch.tensor([0, 0, 0, 1]))
    index, distance = beside(cells, cells, 3)
    assert (index >= 0).sum(dim=1).tolist() == [2, 2, 2, 0]
    assert torch.isinf(distance[index < 0]).all()


def test_cells_at_one_place_are_neighbours_of_each_other_and_not_of_themselves():
    cells = placed(6)
    cells = Placed(cells.features, torch.zeros(6, 2), cells.section)
    index, distance = beside(cells, cells, 5)
    for row in range(6):
        assert sorted(index[row].tolist()) == [other for other in range(6) if other != row]
    assert (distance == 0).all()


def test_two_cells_alike_at_one_place_are_two():
    cells = placed(3)
    twice = Placed(cells.features[[0, 0, 1, 2]], cells.places[[0, 0, 1, 2]], cells.section[[0, 0, 1, 2]])
    index, distance = beside(twice, twice, 3)
    assert (index[0] >= 0).all()
    assert distance[0, 0] == 0


def test_a_new_cell_at_the_place_of_a_reference_is_its_neighbour():
    cells = placed(10)
    new = Placed(cells.features[[4]] + 1, cells.places[[4]], cells.section[[4]])
    assert beside(new, cells, 2)[0][0, 0] == 4


def test_spacing_is_the_largest_distance_to_the_next_and_unknown_for_a_single_cell():
    places = torch.tensor([[0.0, 0], [1, 0], [3, 0], [9, 9]])
    cells = Placed(torch.randn(4, 3), places, torch.tensor([0, 0, 0, 1]))
    assert spacing_of(cells, 2).tolist() == [2.0, np.inf]


@pytest.mark.parametrize(("section", "what"), [(-1, "an unknown section"), (1, "section 's1', which has no training")])
def test_cells_of_a_section_without_references_are_refused(section, what):
    references = placed()
    new = Placed(references.features[:3], references.places[:3], torch.full((3,), section))
    _, distance = beside(new, references, 2)
    with pytest.raises(DataError, match=f"3 cells must lie in a section that was trained on.*{what}"):
        refuse_strangers(new, references, distance, spacing_of(references, 2), SCHEMA)


def test_cells_far_from_the_tissue_are_refused():
    references = placed()
    new = Placed(references.features[:2], references.places[:2] + 1000, references.section[:2])
    _, distance = beside(new, references, 2)
    with pytest.raises(DataError, match="2 cells must lie within the tissue"):
        refuse_strangers(new, references, distance, spacing_of(references, 2), SCHEMA)
