"""Confounding: how far the batch tells the label, or the time, before any model has seen a cell.

obs -> Cramer's V of batch and label, share of the variance of time between batches -> a row each, and a warning

Where batches differ in what they hold, no method can know which part of a difference is the batch: what takes the batch
off takes biology with it. Cramer's V is corrected for chance, which alone makes it large where cells are few.

References: [Bergsma13] the corrected V; [Cohen88] what is large: V of .3 and a share of .14.
"""

import numpy as np
import pandas as pd

COLUMNS = ["of", "key", "measure", "value", "limit", "is_confounded"]
V_LIMIT, SHARE_LIMIT = 0.3, 0.14


def confounding(batch: np.ndarray, *, labels: pd.Series | None = None, time: pd.Series | None = None) -> pd.DataFrame:
    """A row for the labels and one for the time, as far as they are given; `is_confounded` is value above limit.

    Codes of -1 in `batch (n_obs,)`, labels that are missing, and times that are NaN are left out.
    """
    rows = []
    if labels is not None:
        rows.append(("label", labels.name, "cramers_v", cramers_v(batch, pd.factorize(labels)[0]), V_LIMIT))
    if time is not None:
        rows.append(("time", time.name, "eta_squared", share_between(batch, time.to_numpy(float)), SHARE_LIMIT))
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    return table.assign(is_confounded=table["value"] > table["limit"])[COLUMNS]


def cramers_v(first: np.ndarray, second: np.ndarray) -> float:
    """Cramer's V of two codes `(n_obs,)`, corrected for chance [Bergsma13]: 0 independent, 1 one tells the other."""
    known = (first >= 0) & (second >= 0)
    table = pd.crosstab(first[known], second[known]).to_numpy(float)
    n, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    squared = ((table - expected) ** 2 / expected).sum() / n
    by_chance = (rows - 1) * (columns - 1) / (n - 1)
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(min(1.0, max(0.0, squared - by_chance) / least))) if least > 0 else 0.0


def share_between(batch: np.ndarray, time: np.ndarray) -> float:
    """Eta squared: the share of the variance of `time (n_obs,)` that lies between batches; 0 where it does not vary."""
    known = (batch >= 0) & np.isfinite(time)
    if not known.any() or np.ptp(time[known]) == 0:
        return 0.0
    values = pd.Series(time[known])
    means = values.groupby(batch[known]).transform("mean")
    return float(((means - values.mean()) ** 2).sum() / ((values - values.mean()) ** 2).sum())
