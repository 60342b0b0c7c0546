"""Roots: the middle of a kind, the earliest, and the two ends of what nobody gave a root."""

import numpy as np
import pytest

from cellwright.dynamics.roots import earliest, extremes, most_central


@pytest.mark.parametrize("turned", [1, -1], ids=["as it is", "the other way"])
def test_the_ends_of_a_line_are_its_ends(graph_of, turned):
    line = np.column_stack([np.arange(30.0), np.zeros(30)])[::turned]
    assert {*extremes(graph_of(line, 2))} == {0, 29}


def test_the_ends_are_of_the_largest_part(graph_of):
    line = np.concatenate([1000 + np.arange(5.0), np.arange(20.0)])[:, None]
    assert {*extremes(graph_of(line, 2))} == {5, 24}


def test_the_most_central_are_nearest_to_the_median_nearest_first():
    latent = np.array([[9.0], [0], [10], [11], [14], [500]])
    assert most_central(latent, np.array([0, 2, 3, 4, 5]), n=3).tolist() == [3, 2, 0]


def test_one_cell_is_its_own_middle():
    assert most_central(np.zeros((4, 2)), np.array([2])).tolist() == [2]


def test_the_earliest_are_a_twentieth_and_all_of_the_same_time():
    assert earliest(np.arange(100.0)).tolist() == [0, 1, 2, 3, 4]
    assert earliest(np.repeat([1.0, 0, 2], 10)).tolist() == list(range(10, 20))


def test_a_cell_without_a_time_is_not_the_earliest():
    assert earliest(np.array([np.nan, 3, 2, np.nan])).tolist() == [2]
