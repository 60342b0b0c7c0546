"""Residual paths: the errors of a forecast on sequences whose errors are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.past import Past
from cellwright.models.parts.residual_paths import LONGEST, ResidualPaths
from cellwright.models.parts.step_grid import StepGrid


def unchanged(past):
    return past.last[:, None].expand(-1, past.n_steps, -1)


def source_of(values):
    n_steps = values.shape[1]
    adata = AnnData(values.reshape(len(values), -1).astype(np.float32))
    adata.var = pd.DataFrame(
        {
            "t": np.repeat(np.arange(n_steps), values.shape[2]),
            "q": np.tile([f"q{i}" for i in range(values.shape[2])], n_steps),
        },
        index=adata.var_names,
    )
    return open_data(adata, step_key="t", quantity_key="q")


def learnt(source):
    grid = StepGrid(source.schema.steps)
    rows, rng = np.arange(source.n_obs), np.random.default_rng(0)
    grid.learn(source, rows)
    errors = ResidualPaths(grid)
    errors.learn(grid, source, rows, rng, unchanged)
    return grid, errors


def drawn(grid, errors, source, n_steps, n_draws=200):
    minibatch, generator = next(iter(in_order(source, None, source.n_obs))), torch.Generator().manual_seed(0)
    past = Past.of(grid, minibatch, n_steps)
    draws = [past.in_unit(errors.drawn(past, unchanged(past), generator)) for _ in range(n_draws)]
    return torch.stack(draws)[:, :, 0].numpy(), past.in_unit(unchanged(past))[:, 0].numpy()


@pytest.fixture(scope="module")
def walkers():
    """Random walks: the error of no change k steps ahead has variance k; the second quantity is twice the first."""
    steps = np.random.default_rng(0).normal(size=(300, 8, 1)).cumsum(axis=1)
    return source_of(np.concatenate([steps, 2 * steps], axis=2))


def test_errors_are_as_large_at_each_horizon_as_such_a_forecast_makes_them(walkers):
    draws, expected = drawn(*learnt(walkers), walkers, 4)
    spread = (draws - expected).std(axis=(0, 1))
    np.testing.assert_allclose(spread[:, 0], np.sqrt([1, 2, 3, 4]), rtol=0.08)
    np.testing.assert_allclose((draws - expected).mean(axis=(0, 1)), 0, atol=0.15)


def test_quantities_that_go_together_and_steps_of_one_path_stay_together(walkers):
    draws, expected = drawn(*learnt(walkers), walkers, 4)
    errors = (draws - expected).reshape(-1, 4, 2)
    np.testing.assert_allclose(errors[..., 1], 2 * errors[..., 0], rtol=1e-3, atol=0.05)
    together = np.corrcoef(errors[:, 1, 0], errors[:, 2, 0])[0, 1]
    assert together == pytest.approx(np.sqrt(2 / 3), abs=0.08)


def test_steps_beyond_the_longest_error_have_that_of_the_longest(walkers):
    draws, expected = drawn(*learnt(walkers), walkers, 12, n_draws=20)
    errors = draws - expected
    np.testing.assert_allclose(errors[:, :, 11], errors[:, :, 6], rtol=1e-3, atol=1e-3)
    assert LONGEST > 7


def test_what_was_not_measured_takes_the_error_of_another_path():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 5, 2)).cumsum(axis=1)
    values[rng.random(values.shape) < 0.4] = np.nan
    source = source_of(values)
    draws, expected = drawn(*learnt(source), source, 3, n_draws=30)
    there = ~np.isnan(expected).any(axis=(1, 2))
    assert np.isfinite(draws[:, there]).all()
    assert ((draws - expected)[:, there].std(axis=(0, 1)) > 0.5).all()


def test_of_sequences_of_a_single_step_nothing_is_known():
    source = source_of(np.random.default_rng(0).normal(size=(20, 1, 1)))
    draws, expected = drawn(*learnt(source), source, 2, n_draws=3)
    np.testing.assert_array_equal(draws, np.broadcast_to(expected, draws.shape))


def test_of_many_quantities_fewer_paths_are_kept():
    few, many = (ResidualPaths(StepGrid(source_of(np.zeros((2, 5, n))).schema.steps)) for n in (1, 3000))
    assert (few.n_kept, many.n_kept) == (1000, 333)
    assert many.paths.numel() <= 4_000_000
