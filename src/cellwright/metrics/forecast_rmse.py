"""Error of a forecast: root mean squared difference between what was expected and what came."""

import numpy as np

from cellwright.metrics.futures import measured
from cellwright.metrics.metric import Metric, within_labels


def forecast_rmse(x_future: np.ndarray, x_forecast: np.ndarray) -> float:
    """Over the values that were measured, `(n_obs, n_ahead)`, in their unit; 0 is perfect.

    Of several quantities in different units give standardised values. Raises `DataError` where none was measured.
    """
    known = measured("forecast_rmse", x_future, x_forecast)
    return float(np.sqrt(np.mean((x_future[known].astype(np.float64) - x_forecast[known]) ** 2)))


FORECAST_RMSE = Metric(
    function=forecast_rmse,
    title="Error of forecasts",
    task="forecast",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_future", "x_forecast"),
    citation="Hyndman21",
    by_label=within_labels(forecast_rmse),
)
