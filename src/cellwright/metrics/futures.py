"""Futures: what metrics of forecasts have in common: values that came, expectations and draws of them.

x_future (n_obs, n_ahead) with NaN where nothing was measured, x_forecast (n_obs, n_ahead), x_draws
(n_obs, n_ahead, n_draws) -> the entries that were measured and forecast
"""

import numpy as np

from cellwright.errors import DataError


def measured(metric: str, x_future: np.ndarray, x_said: np.ndarray) -> np.ndarray:
    """Which entries are compared, `(n_obs, n_ahead)` bool: those that were measured, and forecast.

    Raises `DataError` where the shapes differ, or there is none.
    """
    if x_said.shape[:2] != x_future.shape:
        raise DataError(
            f"{metric} must have a forecast for every value; there are {x_future.shape} values and "
            f"{x_said.shape[:2]} forecasts. Give the same rows and steps."
        )
    known = ~np.isnan(x_future) & ~(np.isnan(x_said) if x_said.ndim == 2 else np.isnan(x_said).any(axis=2))
    if not known.any():
        raise DataError(f"{metric} needs a value that was measured and forecast; there is none. Hide fewer steps.")
    return known


def draws_of(metric: str, x_draws: np.ndarray) -> np.ndarray:
    """The draws as float64. Raises `DataError` for fewer than two of each value."""
    if x_draws.ndim != 3 or x_draws.shape[2] < 2:
        raise DataError(
            f"{metric} must have 2 draws or more of each value, (n_obs, n_ahead, n_draws); the shape is "
            f"{x_draws.shape}. Draw more."
        )
    return x_draws.astype(np.float64)
