"""Rprop: every number reaches the maximum of its own function, however steep that is."""

import torch

from cellwright.nn.rprop import climb


def test_numbers_of_slopes_that_differ_by_ten_orders_reach_their_maxima():
    target = torch.tensor([-3.0, 0.0, 4.0, 7.5])
    steepness = torch.tensor([1e-6, 1e-2, 1.0, 1e4])
    numbers = torch.zeros(4)
    climb([numbers], lambda: [steepness * (target - numbers)], n_steps=60)
    torch.testing.assert_close(numbers, target, atol=0.01, rtol=0)


def test_several_tensors_are_climbed_together_and_a_flat_one_stays():
    first, second = torch.zeros(2), torch.ones(3)
    climb([first, second], lambda: [torch.tensor([1.0, -1.0]), torch.zeros(3)], n_steps=3)
    assert first[0] > 0 > first[1]
    assert torch.equal(second, torch.ones(3))
