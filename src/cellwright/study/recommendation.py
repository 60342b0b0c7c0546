"""Recommendation: what is to be said for and against each imputation, from the scores of all seeds.

scores, a row per seed -> deviance, its difference from the best baseline (paired by seed), harm -> which to use

The best baseline is the one with the least mean deviance. Seeds hide other molecules of the same cells: the interval
tells of that and of the training's chance, not of other cells.
"""

import math
from typing import Any

import pandas as pd

from cellwright.metrics.harm import FLOOR, LIMITS
from cellwright.study.paired import Key, Values, by_model, difference

DEVIANCE = "poisson_deviance"
DRAWN = "_drawn"  # of the same scores of draws
COLUMNS = [
    "model", "setting", "is_baseline", "n_seeds", "deviance", "best_baseline", "difference", "ci_low", "ci_high",
    *LIMITS, *(f"{name}{DRAWN}" for name in LIMITS), "means_are_harmless", "draws_are_harmless", "is_recommended",
]  # fmt: skip


def recommendation(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per model and setting, the least deviance first.

    `scores` has the columns of `scores.csv` and model, setting, is_baseline, a row per seed. `difference` is of the
    deviance from the best baseline over the seeds that both have, NaN for that itself. A harm is NaN where it is not
    known. Who has all seeds comes before who has not: means over other seeds compare nothing. Expectations, or draws,
    are harmless where every harm that was asked of any model is known of them and small. Recommended is the first of
    which one of the two is harmless; where no harm was asked, the first.
    """
    overall = scores[scores["group"] == ""] if len(scores) else scores
    if not len(overall) or DEVIANCE not in set(overall["metric"]):
        return pd.DataFrame(columns=COLUMNS)
    asked_for = overall[overall["metric"].isin([DEVIANCE, *LIMITS, *(f"{name}{DRAWN}" for name in LIMITS)])]
    values = {str(metric): by_model(part) for metric, part in asked_for.groupby("metric")}
    judged = overall[overall["metric"] == DEVIANCE]
    names = zip(judged["model"].astype(str), judged["setting"].astype(str), strict=True)
    is_baseline = dict(zip(names, judged["is_baseline"].astype(bool), strict=True))
    n_seeds = max(len(series) for series in values[DEVIANCE].values())

    def place(key: Key) -> tuple[bool, float]:
        return len(values[DEVIANCE][key]) < n_seeds, float(values[DEVIANCE][key].mean())

    order = sorted(values[DEVIANCE], key=place)
    best = next((key for key in order if is_baseline[key]), None)
    table = pd.DataFrame([_row(values, key, best) | {"is_baseline": is_baseline[key]} for key in order])
    was_asked = any(name in values for name in LIMITS)
    harmless = (table["means_are_harmless"] | table["draws_are_harmless"]) if was_asked else True
    able = harmless & (table["model"] != FLOOR)
    table["is_recommended"] = table.index == (able.idxmax() if able.any() else -1)
    return table[COLUMNS]


def _row(values: Values, key: Key, best: Key | None) -> dict[str, Any]:
    deviance = values[DEVIANCE][key]
    row: dict[str, Any] = {"model": key[0], "setting": key[1], "n_seeds": len(deviance)}
    row |= {"deviance": float(deviance.mean()), "best_baseline": "" if best is None else " ".join(filter(None, best))}
    row |= difference(values[DEVIANCE], key, best)
    of_means, of_draws = ({n: _mean(values, key, f"{n}{end}") for n in LIMITS} for end in ("", DRAWN))
    asked = [name for name in LIMITS if name in values]
    row |= of_means | {f"{name}{DRAWN}": value for name, value in of_draws.items()}
    row["means_are_harmless"] = bool(asked) and all(of_means[name] <= LIMITS[name] for name in asked)
    row["draws_are_harmless"] = bool(asked) and all(of_draws[name] <= LIMITS[name] for name in asked)
    return row


def _mean(values: Values, key: Key, metric: str) -> float:
    found = values.get(metric, {}).get(key)
    return math.nan if found is None else float(found.mean())
