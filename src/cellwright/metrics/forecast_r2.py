"""R2 of a forecast: the share of the spread of what came that was expected."""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.futures import measured
from cellwright.metrics.metric import Metric


def forecast_r2(x_future: np.ndarray, x_forecast: np.ndarray) -> float:
    """1 - SSE / SST over the values that were measured, `(n_obs, n_ahead)`, about the mean over rows of each column.

    1 is perfect, 0 as good as that mean, which no forecast knows. Raises `DataError` where none was measured, or no
    column varies.
    """
    known = measured("forecast_r2", x_future, x_forecast)
    true, said = (np.where(known, values, 0.0).astype(np.float64) for values in (x_future, x_forecast))
    mean = true.sum(axis=0) / known.sum(axis=0).clip(1)
    spread = float((np.where(known, true - mean, 0.0) ** 2).sum())
    if spread == 0:
        raise DataError("forecast_r2 needs a step at which rows differ; there is none. Give more rows.")
    return 1 - float(((true - said) ** 2).sum()) / spread


FORECAST_R2 = Metric(
    function=forecast_r2,
    title="R2 of forecasts",
    task="forecast",
    better="higher",
    bounds=(-np.inf, 1.0),
    needs=("x_future", "x_forecast"),
)
