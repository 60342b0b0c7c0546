"""Draws are the quantiles of the Poisson distribution, and their gradient is that of the expectation."""

import numpy as np
import pytest
import torch
from scipy.stats import poisson as reference

from cellwright.nn.poisson_draw import poisson, transformed_counts


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.3, 2.0, 15.0, 39.9])
def test_below_forty_draws_are_the_quantiles(rate):
    uniform = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0))
    draws = poisson(torch.full_like(uniform, rate), uniform)[0].numpy()
    expected = reference.ppf(uniform[0].double().numpy(), rate)
    # float32 sums of probabilities decide otherwise where a number lies within 1e-6 of a step, of which there are few
    assert (draws != expected).mean() < 1e-3
    assert np.abs(draws - expected).max() <= 1


@pytest.mark.parametrize("rate", [41.0, 300.0, 5_000.0])
def test_above_forty_draws_are_within_one_count_of_the_quantiles(rate):
    uniform = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0))
    draws = poisson(torch.full_like(uniform, rate), uniform)[0].numpy()
    assert np.abs(draws - reference.ppf(uniform[0].double().numpy(), rate)).max() <= 1


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_the_gradient_of_a_sum_of_values_is_that_of_its_expectation(transform):
    """For f linear in the values nothing is left out: d/d rate E y(X) from the probabilities themselves."""
    function = {"none": lambda x: x, "log1p": np.log1p}[transform]
    n, counts = 200_000, np.arange(60)
    for rate in (0.2, 3.0):
        rates = torch.full((1, n), rate, requires_grad=True)
        uniform = torch.rand(1, n, generator=torch.Generator().manual_seed(1))
        transformed_counts(transform, poisson(rates, uniform), rates).sum().backward()
        p = reference.pmf(counts, rate)
        exact = (np.concatenate([[0], p[:-1]]) - p) @ function(counts)  # d/d rate p(x) = p(x - 1) - p(x)
        error = rates.grad.std().item() / np.sqrt(n)
        assert abs(rates.grad.mean().item() - exact) < 5 * error + 1e-6


def test_values_are_the_transformed_counts():
    counts = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    rate = torch.ones(2, 3)
    torch.testing.assert_close(
        transformed_counts("log_normalise", counts, rate),
        torch.log1p(torch.tensor([[0.0, 2500.0, 7500.0], [0.0, 0.0, 0.0]])),
    )
    torch.testing.assert_close(transformed_counts("none", counts, rate), counts)
