"""Score an integration: is a latent space free of the batches, and does it still tell the labels apart.

latent, labels, batches, what was before -> neighbours, once; Leiden's clusters -> scIB's metrics, over all cells and
per label -> three totals -> rows of scores.csv (task, metric, value, better, group, held_out, seed)

References: [Luecken22] for the set of metrics and the totals.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.metrics.labels import Labels
from cellwright.metrics.neighbours import Neighbours
from cellwright.metrics.nmi import nmi
from cellwright.metrics.silhouette import check_latent
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.cluster import N_NEIGHBORS, leiden_clusters
from cellwright.tasks.neighbours import nearest
from cellwright.tasks.score import ScoreRow, score_rows

TASK = "integrate"
BIO = ("leiden_nmi", "leiden_ari", "silhouette", "isolated_labels", "clisi")
BATCH = ("bras", "ilisi", "kbet", "graph_connectivity", "pc_regression")
BESIDE = ("batch_asw",)  # in no total, which `bras` is in for it, as in scib-metrics
WEIGHT_OF_BIO = 0.6
N_NEIGHBOURS = 90  # the most that one of them asks for
RESOLUTIONS = tuple(step / 5 for step in range(1, 11))  # 0.2 to 2.0


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
    """Rows of `scores.csv` (task `integrate`) of `latent (n_obs, n_latent)`: what is kept, what is removed, totals.

    `labels (n_obs,)` are cell types and `batches (n_obs,)` where the cells come from; `before (n_obs, n_features)` is
    the uncorrected representation, such as principal components, which `pc_regression` compares with. `rows` restricts
    all of them to some cells and `held_out` says that no fit has seen these. A cell without a label or a batch (NaN) is
    left out everywhere, also as a neighbour, so that all values are of the same cells.

    - metrics of `BIO`, `BATCH` and `BESIDE` under their names, over all cells and per label (`group`) where that means
      something: which type was mixed away, which was not mixed at all. What needs an array that is not given, or two
      batches where there is one, has no row; what is not defined for these cells is NaN
    - `bio_total` and `batch_total`, the plain means of `BIO` and `BATCH` (not scaled by what other latent spaces
      score), and `integration_total`, 0.6 and 0.4 of these. NaN where one of its parts is missing: a mean of fewer
      would look like a total of all

    `seed` is that of Leiden, and of the neighbours of over 50,000 cells; the cells that silhouettes of over 10,000 are
    of are always the same. Raises `DataError` where the arrays are not of the same cells or fewer than two are left,
    `OptionError` without igraph, `UnsuitableValues` for NaN in `latent`.
    """
    given = {"latent": latent, "labels_true": labels, "batches": batches, "latent_before": before}
    arrays = _of_known_cells(given, rows)
    arrays |= _found_once(arrays, seed)
    table: list[ScoreRow] = []
    for name in (*BIO, *BATCH, *BESIDE):
        if set(METRICS[name].needs) <= set(arrays):
            table += _rows_of(name, arrays)
    frame = pd.DataFrame([*table, *_totals(table)], columns=["task", "metric", "value", "better", "group"])
    # the silhouette is a metric of `reduce`; here it is one part of a whole
    return frame.assign(task=TASK, held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _of_known_cells(arrays: dict[str, Any], rows: np.ndarray | None) -> dict[str, Any]:
    """What was given, of `rows` and of cells with label and batch; a single batch is none."""
    given = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    n_obs = len(given["latent"])
    for name, array in given.items():
        if len(array) != n_obs:
            raise DataError(
                f"{name} of score_integration must be of the cells of latent; they have {len(array)} and {n_obs} rows. "
                "Take all from one AnnData."
            )
    taken = np.arange(n_obs) if rows is None else np.arange(n_obs)[rows]
    for name in ("labels_true", "batches"):
        if name in given:
            taken = taken[pd.notna(given[name][taken])]
    given = {name: array[taken] for name, array in given.items()}
    check_latent(given["latent"], len(taken))
    if "batches" in given and len(pd.unique(given["batches"])) < 2:
        del given["batches"]
    return given


def _found_once(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """What takes long and several metrics read: neighbours and, where there are labels, Leiden's best clusters."""
    neighbours = Neighbours(*nearest(given["latent"], N_NEIGHBOURS, seed))
    if "labels_true" not in given:
        return {"neighbours": neighbours}
    candidates = leiden_clusters(neighbours.first(N_NEIGHBORS).indices, RESOLUTIONS, seed=seed).values()
    best = max(candidates, key=lambda clusters: nmi(given["labels_true"], clusters))
    return {"neighbours": neighbours, "clusters": best}


def _rows_of(name: str, arrays: dict[str, Any]) -> list[ScoreRow]:
    metric = METRICS[name]
    needed = {argument: arrays[argument] for argument in metric.needs}
    try:
        return score_rows(metric, name, arrays.get("labels_true"), **needed)
    except UnsuitableValues:
        raise
    except DataError:
        return [(metric.task, name, math.nan, metric.better, "")]


def _totals(table: list[ScoreRow]) -> list[ScoreRow]:
    overall = {metric: value for _, metric, value, _, group in table if group == ""}
    bio, batch = (float(np.mean([overall.get(name, math.nan) for name in part])) for part in (BIO, BATCH))
    total = WEIGHT_OF_BIO * bio + (1 - WEIGHT_OF_BIO) * batch
    values = {"bio_total": bio, "batch_total": batch, "integration_total": total}
    return [(TASK, name, value, "higher", "") for name, value in values.items()]
