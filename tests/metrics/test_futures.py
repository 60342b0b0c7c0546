"""What metrics of forecasts compare: measured values that were forecast, and no others."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.metrics import METRICS
from cellwright.metrics.futures import draws_of, measured


def test_entries_without_a_value_or_without_a_forecast_are_left_out():
    came = np.array([[1.0, np.nan], [2.0, 3.0]])
    said = np.array([[1.0, 1.0], [np.nan, 3.0]])
    assert measured("m", came, said).tolist() == [[True, False], [False, True]]
    assert measured("m", came, np.stack([said, said], axis=2)).tolist() == [[True, False], [False, True]]


def test_other_shapes_nothing_measured_and_a_single_draw_are_refused_in_a_sentence():
    nothing = np.full((2, 2), np.nan)
    with pytest.raises(DataError, match="m must have a forecast for every value"):
        measured("m", np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(DataError, match="m needs a value that was measured and forecast"):
        measured("m", nothing, np.zeros((2, 2)))
    with pytest.raises(DataError, match="m must have 2 draws or more"):
        draws_of("m", np.zeros((2, 2, 1)))


@pytest.mark.parametrize("name", ["forecast_rmse", "forecast_r2", "crps", "energy_score", "coverage_error"])
def test_what_was_not_measured_changes_nothing(name):
    rng = np.random.default_rng(0)
    came, metric = rng.normal(size=(8, 3)), METRICS[name]
    came[2] = np.nan
    said = rng.normal(size=(8, 3, 5) if metric.needs[1] == "x_draws" else (8, 3))
    other = said.copy()
    other[2] += 100
    kept = np.arange(8) != 2
    assert metric.function(came, said) == metric.function(came, other)
    assert metric.function(came, said) == pytest.approx(metric.function(came[kept], said[kept]))
