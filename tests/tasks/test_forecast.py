"""Forecasts of rows: the shape and times of the answer, what the scores are against, and what is refused."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData, read_h5ad

from cellwright.data.open import open_data
from cellwright.errors import AbilityError, OptionError
from cellwright.metrics import METRICS
from cellwright.models import build
from cellwright.tasks.forecast import Columns, ForecastOptions, Future, forecast, hidden_steps, score_forecast
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

TIMES = {"alpha": [0, 7, 14, 21, 28, 35], "elu": [0, 30, 60, 90]}
VAR = pd.DataFrame([(e, t) for e, times in TIMES.items() for t in times], columns=["experiment", "time"]).set_axis(
    [f"t{i}" for i in range(10)]
)
KEYS = {"step_key": "time", "sequence_key": "experiment"}


def rows(n_obs=40):
    values = np.random.default_rng(0).normal(size=(n_obs, 10)).cumsum(axis=1).astype(np.float32)
    values[0, 6:] = values[1, 5] = np.nan
    return AnnData(values, obs=pd.DataFrame({"gene": range(n_obs)}, index=[f"g{i}" for i in range(n_obs)]), var=VAR)


@pytest.fixture(scope="module")
def source():
    return open_data(rows(), **KEYS)


@pytest.fixture(scope="module")
def persistence(source):
    model = build("persistence", source.schema)
    fit(model, source, progress=False)
    return model


def test_there_is_a_column_for_each_step_ahead_with_its_time_and_its_sequence(persistence, source):
    found = forecast(persistence, source, ForecastOptions(n_steps=2))
    assert found.var["step"].tolist() == [42, 49, 120, 150]
    assert found.var["ahead"].tolist() == [1, 2, 1, 2]
    assert found.var["sequence"].tolist() == ["alpha", "alpha", "elu", "elu"]
    assert found.var_names.tolist() == ["alpha_42", "alpha_49", "elu_120", "elu_150"]
    last = rows().X[:, [5, 5, 9, 9]]
    np.testing.assert_allclose(found.X[2:], last[2:], rtol=1e-5)
    assert np.isnan(found.X[0, 2:]).all()
    np.testing.assert_allclose(found.X[1, :2], rows().X[1, 4], rtol=1e-5)
    assert found.obs["gene"].tolist() == list(range(40))
    assert not found.layers


def test_draws_have_quantiles_in_order_that_scatter_around_what_is_expected(persistence, source, tmp_path):
    found = forecast(persistence, source, ForecastOptions(n_steps=2, n_draws=200))
    assert set(found.layers) == {"sd", "q05", "q25", "q75", "q95"}
    inside = slice(1, None)
    order = [found.layers[name][inside] for name in ("q05", "q25")] + [found.X[inside]]
    order += [found.layers[name][inside] for name in ("q75", "q95")]
    assert all((low <= high + 1e-6).mean() > 0.97 for low, high in pairwise(order))
    again = forecast(persistence, source, ForecastOptions(n_steps=2, n_draws=200))
    np.testing.assert_array_equal(found.layers["sd"], again.layers["sd"])
    other = forecast(persistence, source, ForecastOptions(n_steps=2, n_draws=200), seed=1)
    assert not np.array_equal(found.layers["sd"], other.layers["sd"], equal_nan=True)
    found.write_h5ad(tmp_path / "said.h5ad")
    assert read_h5ad(tmp_path / "said.h5ad").uns["cellwright"]["n_steps"] == 2


def test_a_part_of_the_steps_is_enough_for_new_rows(persistence):
    """Steps that new data do not have were not measured, so a shorter course can go on."""
    shorter = rows()[:, :6].copy()
    with pytest.warns(UserWarning, match="they count as not measured"):
        found = forecast(persistence, shorter, ForecastOptions(n_steps=1))
    np.testing.assert_allclose(found.X[2:, 0], rows().X[2:, 5], rtol=1e-5)
    assert np.isnan(found.X[:, 1]).all()


def test_the_score_is_that_of_the_hidden_steps_and_nothing_else(persistence, source):
    table = score_forecast(persistence, source, np.arange(20, 40), held_out=True, n_hidden=2)
    values = rows().X[20:]
    error = np.concatenate([values[:, 4:6] - values[:, 3:4], values[:, 8:] - values[:, 7:8]], axis=1)
    whole = table[table["group"] == ""].set_index("metric")["value"]
    assert whole["forecast_rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    one = table[(table["group"] == "1 ahead") & (table["metric"] == "forecast_rmse")]["value"].item()
    assert one == pytest.approx(np.sqrt((error[:, [0, 2]] ** 2).mean()), rel=1e-4)
    assert set(whole.index) == {"forecast_rmse", "forecast_r2", "crps", "energy_score", "coverage_error"}
    assert all(METRICS[name].better == better for name, better in zip(table["metric"], table["better"], strict=True))
    assert table["held_out"].all()


def test_what_is_hidden_by_default_is_a_fifth_of_the_longest_sequence(persistence, source):
    assert hidden_steps(source.schema.steps) == 1
    found = score_forecast(persistence, source, np.arange(20), held_out=True)
    assert set(found["group"]) == {"", "1 ahead"}


def test_more_hidden_than_there_is_has_no_score(persistence, source):
    assert not len(score_forecast(persistence, source, np.arange(20), held_out=True, n_hidden=6))
    some = score_forecast(persistence, source, np.arange(20), held_out=True, n_hidden=5)  # of alpha only
    assert set(some["group"]) == {"", *(f"{i} ahead" for i in range(1, 6))}


def test_quantities_in_other_units_count_the_same():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6)).cumsum(axis=1)
    values = np.stack([x, 1000 * x + 5], axis=2).reshape(30, 12).astype(np.float32)
    var = pd.DataFrame({"t": np.repeat(range(6), 2), "q": ["small", "large"] * 6}, index=[f"v{i}" for i in range(12)])
    source = open_data(AnnData(values, var=var), step_key="t", quantity_key="q")
    model = build("persistence", source.schema)
    fit(model, source, progress=False)
    future = Future.of(model, source, np.arange(30), 2, seed=0)
    error = future.came - future.expected
    large = (future.columns.var["quantity"] == "large").to_numpy()
    np.testing.assert_allclose(error[:, large], error[:, ~large], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("n_times", [1, 2])
@pytest.mark.parametrize("name", ["persistence", "linear_extrapolation", "markov_chain", "forecaster"])
def test_courses_of_one_and_two_steps_have_a_forecast(name, n_times):
    values = np.random.default_rng(0).normal(size=(30, n_times)).astype(np.float32)
    var = pd.DataFrame({"t": range(n_times)}, index=[f"t{i}" for i in range(n_times)])
    source = open_data(AnnData(values, var=var), step_key="t")
    model = build(name, source.schema, **({"n_hidden": 4} if name == "forecaster" else {}))
    fit(model, source, FitOptions(max_epochs=1, validation=0.2), progress=False)
    found = forecast(model, source, ForecastOptions(n_steps=4, n_draws=3))
    assert found.var["step"].tolist() == [n_times, n_times + 1, n_times + 2, n_times + 3]
    assert np.isfinite(found.X).all()
    scored = score_forecast(model, source, np.arange(10), held_out=True)
    assert len(scored) == (0 if n_times == 1 else len(scored))


def test_a_model_that_does_not_forecast_and_a_single_draw_are_refused(source):
    model = build("sequence_ae", source.schema, n_hidden=4)
    with pytest.raises(AbilityError, match=r"cannot do `forecast`.*persistence"):
        forecast(model, source)
    with pytest.raises(OptionError, match="n_draws of ForecastOptions must be 0, or 2 or more"):
        ForecastOptions(n_draws=1)


def test_a_quantity_that_a_sequence_does_not_have_has_no_column():
    var = pd.DataFrame(
        {"experiment": ["a", "a", "a", "b"], "time": [0, 1, 0, 0], "what": ["x", "x", "y", "x"]}, index=list("pqrs")
    )
    source = open_data(
        AnnData(np.ones((4, 4), np.float32), var=var), step_key="time", sequence_key="experiment", quantity_key="what"
    )
    columns = Columns.of(source.schema.steps, 1)
    assert columns.var[["sequence", "quantity"]].to_numpy().tolist() == [["a", "x"], ["a", "y"], ["b", "x"]]
    assert columns.take(torch.arange(4.0).reshape(1, 2, 1, 2)).tolist() == [[0, 1, 2]]
