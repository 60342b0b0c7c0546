"""Integration choice: which model to use, from the scores of all seeds.

scores, a row per seed -> total, bio, batch, order in time; their change from uncorrected cells, paired by seed
-> what is lost, and which to use

A correction is worth its name where batches mix better and nothing is lost. What is lost is judged against the cells
without correction: bio, or the order in time, lower by more than `TOLERANCE`. Recommended is the best total among the
models that lose nothing, one that reads no labels where there is one: scores by labels flatter who has seen them.
"""

import math
from typing import Any

import pandas as pd

from cellwright.models import MODELS
from cellwright.study.paired import Key, Values, by_model, difference

TOTAL, BIO, BATCH, TIME = "integration_total", "bio_total", "batch_total", "time_order"
LISI = "ilisi"  # what is known of batches without labels
TOLERANCE = 0.05
COLUMNS = [
    "model", "setting", "is_baseline", "reads_labels", "n_seeds", "total", "bio", "batch", "time_order",
    "best_baseline", "difference", "ci_low", "ci_high", "bio_change", "batch_change", "time_change",
    "loses_bio", "loses_time", "is_recommended",
]  # fmt: skip


def integration_choice(scores: pd.DataFrame, uncorrected: str) -> pd.DataFrame:
    """A row per model and setting, the best total first; without labels the batch total, or iLISI, stands for it.

    `scores` has the columns of `scores.csv` and model, setting, is_baseline, a row per seed. `difference` is of the
    total from the best baseline over the seeds that both have, with its 95 % interval. `uncorrected` is the name of the
    model that takes nothing off; it is recommended itself where nobody is better without loss.
    """
    overall = scores[scores["group"] == ""] if len(scores) else scores
    if not len(overall):
        return pd.DataFrame(columns=COLUMNS)
    values = {str(metric): by_model(part) for metric, part in overall.dropna(subset=["value"]).groupby("metric")}
    judged = next((metric for metric in (TOTAL, BATCH, LISI) if metric in values), None)
    if judged is None:
        return pd.DataFrame(columns=COLUMNS)
    n_seeds = max(len(series) for series in values[judged].values())
    order = sorted(values[judged], key=lambda k: (len(values[judged][k]) < n_seeds, -values[judged][k].mean()))
    best = next((key for key in order if MODELS[key[0]].model.is_baseline), None)
    before = next((key for key in order if key[0] == uncorrected), None)
    table = pd.DataFrame([_row(values, judged, key, best, before) for key in order])
    table["is_recommended"] = table.index == _recommended(table)
    return table[COLUMNS]


def _row(values: Values, judged: str, key: Key, best: Key | None, before: Key | None) -> dict[str, Any]:
    model = MODELS[key[0]].model
    row: dict[str, Any] = {"model": key[0], "setting": key[1], "is_baseline": model.is_baseline}
    row |= {"reads_labels": "label" in model.reads, "n_seeds": len(values[judged][key])}
    row |= {"total": _mean(values, judged, key), "bio": _mean(values, BIO, key), "batch": _mean(values, BATCH, key)}
    row |= {"time_order": _mean(values, TIME, key), "best_baseline": " ".join(filter(None, best or ()))}
    row |= difference(values[judged], key, best)
    for name, metric in (("bio", BIO), ("batch", BATCH if BATCH in values else LISI), ("time", TIME)):
        row[f"{name}_change"] = difference(values.get(metric, {}), key, before)["difference"]
    row["loses_bio"], row["loses_time"] = row["bio_change"] < -TOLERANCE, row["time_change"] < -TOLERANCE
    return row


def _recommended(table: pd.DataFrame) -> int:
    """Its place in the table; -1 where everybody loses something, or nobody knows."""
    if table[["bio_change", "time_change"]].isna().all(axis=None):
        return -1  # without labels and times nothing says what a model loses
    keeps = ~(table["loses_bio"] | table["loses_time"])
    for able in (keeps & ~table["reads_labels"], keeps):
        if able.any():
            return int(able.to_numpy().argmax())
    return -1


def _mean(values: Values, metric: str, key: Key) -> float:
    found = values.get(metric, {}).get(key)
    return math.nan if found is None else float(found.mean())
