"""Statistics: scores of several seeds -> mean, standard deviation, 95 % interval; what `leaderboard.csv` holds."""

import math
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

LEADERBOARD_COLUMNS = [
    "data", "model", "setting", "task", "metric", "better", "group", "held_out", "mean", "sd", "ci_low", "ci_high",
    "n_seeds", "seconds", "peak_bytes", "is_baseline", "status", "reason",
]  # fmt: skip
CONFIDENCE = 0.95


def interval(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation (n - 1), and the 95 % interval of the mean by Student's t; NaN for a single value."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, math.nan, math.nan, math.nan
    sd = float(np.std(values, ddof=1))
    half = _quantile(n) * sd / math.sqrt(n)
    return mean, sd, mean - half, mean + half


@cache  # SciPy takes longer for it than all else here
def _quantile(n: int) -> float:
    """Of Student's t for n values, half of what is outside of the interval above it."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per arm and measure.

    `scores` has the columns of `scores.csv` and data, model, setting, is_baseline, seconds, peak_bytes, one row per
    seed; a value that is not a number is left out of the mean.
    """
    keys = ["data", "model", "setting", "task", "metric", "better", "group", "held_out", "is_baseline"]
    rows = []
    for key, part in scores.dropna(subset=["value"]).groupby(keys, sort=False, dropna=False):
        mean, sd, low, high = interval(part["value"].to_numpy(dtype=float))
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"mean": mean, "sd": sd, "ci_low": low, "ci_high": high, "n_seeds": len(part)}
            | {"seconds": part["seconds"].mean(), "peak_bytes": int(part["peak_bytes"].max())}
            | {"status": "done", "reason": ""}
        )
    return pd.DataFrame(rows, columns=LEADERBOARD_COLUMNS)
