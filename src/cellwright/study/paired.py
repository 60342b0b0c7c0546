"""Paired: scores of several models by seed, and differences over the seeds that two of them have.

scores, a row per seed -by_model-> of each model and setting a value per seed -difference-> mean with its interval
"""

import math
from typing import TypeAlias

import pandas as pd

from cellwright.study.statistics import interval

Key: TypeAlias = tuple[str, str]  # model, setting
Values: TypeAlias = dict[str, dict[Key, pd.Series]]  # by metric: of each model the value of every seed


def by_model(scores: pd.DataFrame) -> dict[Key, pd.Series]:
    """Of each model and setting its values, indexed by seed; `scores` are of one metric."""
    groups = scores.groupby(["model", "setting"], sort=False)
    return {(str(model), str(setting)): part.set_index("seed")["value"] for (model, setting), part in groups}


def difference(by_seed: dict[Key, pd.Series], key: Key, other: Key | None) -> dict[str, float]:
    """Mean difference from `other` over the seeds that both have, with its interval; NaN from itself, or without."""
    nothing = dict.fromkeys(("difference", "ci_low", "ci_high"), math.nan)
    if other is None or key == other or key not in by_seed or other not in by_seed:
        return nothing
    differences = (by_seed[key] - by_seed[other]).dropna()
    if not len(differences):
        return nothing
    mean, _, low, high = interval(differences.to_numpy())
    return {"difference": mean, "ci_low": low, "ci_high": high}
