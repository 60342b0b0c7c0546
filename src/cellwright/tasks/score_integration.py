"""Score an integration: is a latent space free of the batches, and is what tells the labels apart still in it.

latent, labels, batches, the uncorrected latent -> neighbours, once -> metrics over all cells and per label
-> totals -> rows of scores.csv (task, metric, value, better, group, held_out, seed)
"""

import math

import numpy as np
import pandas as pd

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.metrics.labels import Labels
from cellwright.metrics.neighbours import Neighbours
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.neighbours import nearest
from cellwright.tasks.score import ScoreRow, score_rows

TASK = "integrate"
N_NEIGHBOURS = 90
BIO = ("silhouette", "clisi")
BATCH = ("ilisi",)
TOTALS = ("bio_total", "batch_total", "integration_total")
WEIGHT_OF_BIO = 0.6


def score_integration(
    latent: np.ndarray,
    *,
    labels: Labels | None = None,
    batches: Labels | None = None,
    before: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    held_out: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of `scores.csv` (task `integrate`) of `latent (n_obs, n_latent)`: scIB's metrics and their totals.

    `labels (n_obs,)` are cell types, `batches (n_obs,)` where cells come from; `before (n_obs, n_features)` is the
    uncorrected representation, such as principal components. `rows` restricts all of them to some cells, `held_out`
    says in the table that no fit has seen these. A cell without a label or batch (NaN) is left out everywhere, also
    as a neighbour. What needs something that is not given, or a second batch, is not among the rows; what is not
    defined for these cells is NaN.
    """
    arrays = _arrays(latent, labels, batches, before, rows, seed)
    table: list[ScoreRow] = []
    for name in (*BIO, *BATCH):
        metric = METRICS[name]
        if set(metric.needs) <= set(arrays):
            table += _rows(name, arrays)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    frame = pd.concat([frame, _totals(frame)], ignore_index=True)
    return frame.assign(task=TASK, held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _arrays(latent, labels, batches, before, rows, seed) -> dict:
    given = {"latent": latent, "labels_true": labels, "batches": batches, "latent_before": before}
    given = {name: np.asarray(array) for name, array in given.items() if array is not None}
    if rows is not None:
        given = {name: array[rows] for name, array in given.items()}
    known = np.ones(len(given["latent"]), dtype=bool)
    for name in ("labels_true", "batches"):
        if name in given:
            known &= pd.notna(given[name])
    given = {name: array[known] for name, array in given.items()}
    if "batches" in given and len(np.unique(given["batches"])) < 2:
        del given["batches"]
    return given | {"neighbours": Neighbours(*nearest(given["latent"], N_NEIGHBOURS, seed))}


def _rows(name: str, arrays: dict) -> list[ScoreRow]:
    metric = METRICS[name]
    try:
        return score_rows(metric, name, arrays.get("labels_true"), **{need: arrays[need] for need in metric.needs})
    except UnsuitableValues:
        raise
    except DataError:
        return [(TASK, name, math.nan, metric.better, "")]


def _totals(frame: pd.DataFrame) -> pd.DataFrame:
    overall = frame[frame["group"] == ""].set_index("metric")["value"]
    bio, batch = (
        overall.reindex(list(parts)).mean() if set(parts) <= set(overall.index) else math.nan for parts in (BIO, BATCH)
    )
    values = (bio, batch, WEIGHT_OF_BIO * bio + (1 - WEIGHT_OF_BIO) * batch)
    return pd.DataFrame({"metric": TOTALS, "value": values, "better": "higher", "group": ""})
