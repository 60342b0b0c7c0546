"""Next step: what its terms are, what their gradients reach, and how a roll-out goes on."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.core.noise import NoiseKey
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.next_step import NextStep
from cellwright.models.parts.past import Past
from cellwright.models.parts.step_grid import StepGrid


@pytest.fixture
def minibatch_and_grid():
    rows = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    rows[0, 2] = np.nan
    var = pd.DataFrame({"t": range(5)}, index=list("abcde"))
    source = open_data(AnnData(rows, var=var), step_key="t")
    grid = StepGrid(source.schema.steps)
    grid.learn(source, np.arange(8))
    return next(iter(in_order(source))), grid


def read(inputs, times, lengths):
    return inputs[..., :1] * torch.ones(4, requires_grad=True)


def constant(head, value):
    torch.nn.init.zeros_(head[-1].weight)
    torch.nn.init.constant_(head[-1].bias, value)


def test_the_terms_are_the_squared_error_and_the_density_of_a_normal_distribution(minibatch_and_grid):
    minibatch, grid = minibatch_and_grid
    head = NextStep(1, 4)
    constant(head.change, 0.0)
    constant(head.spread, 0.5)
    sequences = grid(minibatch.x)
    terms = head.terms(grid, sequences, read)
    sd = math.exp(5 * math.tanh(0.1))
    values = sequences.values[1, :, 0]
    np.testing.assert_allclose(terms["squared_error"][1].item(), values.diff().square().mean(), rtol=1e-5)
    density = torch.distributions.Normal(values[:-1], sd).log_prob(values[1:]).mean() + 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(terms["spread"][1].item(), -density, rtol=1e-5)


def test_how_sure_it_is_changes_nothing_of_what_is_expected(minibatch_and_grid):
    minibatch, grid = minibatch_and_grid
    torch.manual_seed(0)
    head = NextStep(1, 4)
    states = torch.randn(8, 5, 4, requires_grad=True)
    head.terms(grid, grid(minibatch.x), lambda *_: states)["spread"].sum().backward()
    assert states.grad is None
    assert all(p.grad is None for p in head.change.parameters())
    assert all(p.grad is not None for p in head.spread.parameters())


def test_a_draw_goes_on_from_what_was_drawn(minibatch_and_grid):
    """With no change expected and a spread of one, a path is a random walk: its variance grows with the steps."""
    minibatch, grid = minibatch_and_grid
    head = NextStep(1, 4)
    constant(head.change, 0.0)
    constant(head.spread, 0.0)
    past = Past.of(grid, minibatch, 4)
    with torch.no_grad():
        drawn = torch.stack([head.rolled_out(past, read, NoiseKey(seed)) for seed in range(600)])
    moved = (drawn - past.last[:, None])[..., 0]
    np.testing.assert_allclose(moved.var(dim=(0, 1)), [1, 2, 3, 4], rtol=0.1)
    np.testing.assert_allclose(moved.mean(dim=(0, 1)), 0, atol=0.1)
