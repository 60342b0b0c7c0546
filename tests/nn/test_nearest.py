"""Nearest references: all of them, in order, without the query itself."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from cellwright.nn import nearest as module
from cellwright.nn.nearest import nearest, position_among


def draw(n_obs, n_dims, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n_obs, n_dims)).astype(np.float32))


@pytest.mark.parametrize("n_dims", [2, 30])
def test_equals_sorting_all_distances(n_dims):
    queries, references = draw(40, n_dims), draw(300, n_dims, seed=1)
    index, distance = nearest(queries, references, 7)
    expected = cdist(queries.double(), references.double())
    np.testing.assert_array_equal(index, np.argsort(expected, axis=1)[:, :7])
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :7], rtol=1e-5)


@pytest.mark.parametrize("n_dims", [2, 30])
def test_a_query_among_the_references_is_left_out_wherever_it_stands(n_dims):
    references = draw(50, n_dims)
    rows = torch.tensor([7, 3, 49])
    index, _ = nearest(references[rows], references, 49, same=1e-4)
    for row, found in zip(rows, index, strict=True):
        assert sorted(found.tolist()) == [other for other in range(50) if other != row]


@pytest.mark.parametrize("n_dims", [2, 30])
@pytest.mark.parametrize("n_same", [5, 200])
def test_all_references_at_the_same_place_are_left_out_and_the_next_ones_found(n_dims, n_same):
    """Also where they are more than the candidates that are looked at first."""
    others = draw(300, n_dims)
    references, queries = (
        torch.cat([torch.ones(n_same, n_dims), others]),
        torch.cat([torch.ones(2, n_dims), others[:1]]),
    )
    index, distance = nearest(queries, references, 20, same=1e-4)
    expected, places = nearest(queries, others, 20, same=1e-4)
    assert torch.equal(index[:2], expected[:2] + n_same)
    torch.testing.assert_close(distance[:2], places[:2])
    assert (index >= 0).all()
    assert distance.isfinite().all()


def test_where_there_are_fewer_references_the_rest_is_minus_one_and_infinitely_far():
    index, distance = nearest(draw(4, 2), draw(3, 2, seed=1), 5)
    assert (index[:, 3:] == -1).all()
    assert distance[:, 3:].isinf().all()
    assert (index[:, :3] >= 0).all()
    assert (nearest(draw(4, 2), torch.zeros(0, 2), 5)[0] == -1).all()


def test_small_distances_far_from_the_origin_are_exact():
    places = torch.stack([torch.arange(20.0), torch.zeros(20)], dim=1) + 100_000
    index, distance = nearest(places, places, 2)
    assert sorted(index[10].tolist()) == [9, 11]
    assert (distance[10] == 1).all()


def test_the_answer_does_not_depend_on_the_blocks(monkeypatch):
    queries, references = draw(40, 30), draw(300, 30, seed=1)
    whole = nearest(queries, references, 7)
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 1000)
    for first, second in zip(whole, nearest(queries, references, 7), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("n_dims", [2, 30])
def test_the_position_of_a_reference_is_found_and_of_others_there_is_none(n_dims, monkeypatch):
    references = draw(50, n_dims)
    queries = torch.cat([references[[7, 3, 49]], draw(4, n_dims, seed=2)])
    for entries in (module.BLOCK_ENTRIES, 120):
        monkeypatch.setattr(module, "BLOCK_ENTRIES", entries)
        assert position_among(queries, references, same=1e-4).tolist() == [7, 3, 49, -1, -1, -1, -1]
    assert position_among(queries, references[:0]).tolist() == [-1] * 7
