"""Adversarial losses have their closed forms: linear critics, guesses, certainties."""

import math

import numpy as np
import torch
from scipy.special import rel_entr

from cellwright.losses.adversarial import (
    gradient_penalty,
    hide_batch,
    name_batch,
    pass_for_first,
    squared_slope,
    tell_apart,
    wasserstein_gap,
)

GENERATOR = torch.Generator().manual_seed(0)
REAL, MADE = torch.randn(2, 30, 4, generator=GENERATOR, dtype=torch.float64).float()
SLOPE = torch.tensor([3.0, 0.0, 4.0, 0.0])


def linear(points):
    return points @ SLOPE + 7


def test_the_gap_of_a_critic_of_slope_one_is_the_distance_of_two_shifted_samples():
    unit = SLOPE / SLOPE.norm()
    moved = REAL + 2 * unit
    torch.testing.assert_close(wasserstein_gap(REAL @ unit, moved @ unit), torch.full((30,), 2.0))


def test_a_linear_critic_pays_for_its_norm_wherever_it_is_asked():
    for share in (0.0, 0.3, 1.0):
        penalty = gradient_penalty(linear, REAL, MADE, torch.full((30, 1), share))
        torch.testing.assert_close(penalty, torch.full((30,), (5.0 - 1) ** 2))
    torch.testing.assert_close(squared_slope(linear, REAL), torch.full((30,), 25.0))


def test_the_penalty_is_taken_between_the_two_points():
    share = torch.rand(30, 1, generator=GENERATOR)
    penalty = gradient_penalty(lambda points: points.square().sum(dim=1) / 2, REAL, MADE, share)
    between = share * REAL + (1 - share) * MADE  # the slope of |x|^2 / 2 is x
    torch.testing.assert_close(penalty, (between.norm(dim=1) - 1).square())


def test_penalties_reach_the_weights_of_the_critic_and_not_its_points():
    weight, points = SLOPE.clone().requires_grad_(), REAL.clone().requires_grad_()
    squared_slope(lambda at: at @ weight, points).mean().backward()
    torch.testing.assert_close(weight.grad, 2 * SLOPE)
    assert points.grad is None


def test_slopes_are_taken_without_gradients_too():
    with torch.no_grad():
        torch.testing.assert_close(squared_slope(linear, REAL), torch.full((30,), 25.0))


def test_telling_apart_is_the_cross_entropy_of_both_samples():
    first, second = torch.randn(2, 20, generator=GENERATOR)
    expected = -torch.sigmoid(first).log() - (1 - torch.sigmoid(second)).log()
    torch.testing.assert_close(tell_apart(first, second), expected)
    torch.testing.assert_close(pass_for_first(second), -torch.sigmoid(second).log())


def test_a_guess_costs_two_bits():
    nothing = torch.zeros(5)
    torch.testing.assert_close(tell_apart(nothing, nothing), torch.full((5,), 2 * math.log(2)))


def test_naming_the_batch_by_guess_costs_the_logarithm_of_their_number_and_an_unknown_batch_nothing():
    loss = name_batch(torch.zeros(3, 4), torch.tensor([0, 3, -1]))
    torch.testing.assert_close(loss, torch.tensor([math.log(4), math.log(4), 0.0]))


def test_a_batch_is_hidden_when_the_critic_says_the_shares():
    shares = torch.tensor([0.2, 0.3, 0.5])
    logits = torch.randn(10, 3, generator=GENERATOR)
    p = torch.softmax(logits, dim=1)
    expected = rel_entr(shares.numpy(), p.numpy()).sum(axis=1)
    np.testing.assert_allclose(hide_batch(logits, shares).numpy(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(hide_batch(shares.log()[None] + 5, shares), torch.zeros(1), rtol=0, atol=1e-6)


def test_a_batch_without_cells_adds_nothing():
    assert torch.isfinite(hide_batch(torch.randn(4, 2, generator=GENERATOR), torch.tensor([1.0, 0.0]))).all()
