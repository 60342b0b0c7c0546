"""NT-Xent has its closed forms, and is the formula of the paper."""

import math

import pytest
import torch

from cellwright.losses.contrastive import nt_xent


@pytest.mark.parametrize("n_obs", [2, 7])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_views_that_are_equal_within_and_orthogonal_between_cells(n_obs, temperature):
    views = torch.eye(n_obs)
    expected = -1 / temperature + math.log(math.exp(1 / temperature) + 2 * n_obs - 2)
    torch.testing.assert_close(nt_xent(views, views, temperature), torch.full((n_obs,), expected))


def test_views_that_say_nothing_cost_the_logarithm_of_the_number_of_others():
    same = torch.ones(5, 3)
    torch.testing.assert_close(nt_xent(same, same, 0.3), torch.full((5,), math.log(9)))


def test_a_cell_that_is_alone_costs_nothing():
    assert nt_xent(torch.randn(1, 4), torch.randn(1, 4), 0.5).item() == 0


def test_it_is_equation_1_of_chen20():
    torch.manual_seed(0)
    first, second, temperature = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64), 0.4
    views, expected = torch.cat([first, second]), []
    similarity = lambda i, j: float(torch.cosine_similarity(views[i], views[j], dim=0)) / temperature  # noqa: E731
    for cell in range(6):
        losses = []
        for i, j in ((cell, cell + 6), (cell + 6, cell)):
            others = sum(math.exp(similarity(i, k)) for k in range(12) if k != i)
            losses.append(-math.log(math.exp(similarity(i, j)) / others))
        expected.append(sum(losses) / 2)
    found = nt_xent(first.float(), second.float(), temperature)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


def test_the_length_of_a_view_does_not_matter():
    torch.manual_seed(0)
    first, second = torch.randn(6, 4), torch.randn(6, 4)
    lengths = torch.rand(6, 1) + 0.5
    torch.testing.assert_close(nt_xent(first * lengths, second, 0.5), nt_xent(first, second, 0.5))
