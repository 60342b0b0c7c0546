"""Score: metrics of an AnnData that tasks have written to, overall and per label.

adata + keys -> arrays that each metric needs -> rows of scores.csv (task, metric, value, better, group, held_out, seed)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.errors import DataError, MissingKey, OptionError, did_you_mean
from cellwright.metrics import METRICS, Metric
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks import TASKS

ScoreRow = tuple[str, str, float, str, str]  # task, metric, value, better, group


def score(
    adata: AnnData,
    metrics: Sequence[str] = ("ari", "nmi", "silhouette"),
    *,
    use_rep: str | None = None,
    label_key: str | None = None,
    cluster_key: str | None = None,
    rows: np.ndarray | None = None,
    held_out: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """The metrics over all cells or over `rows`: overall, and per label where a metric means something there.

    Columns task, metric, value, better, group (a label, or empty for all), held_out, seed. What a metric needs is
    read from `obsm[use_rep]`, `obs[label_key]` and `obs[cluster_key]`.

    Raises `OptionError` for an unknown metric, `MissingKey` for a key that is not there, `DataError` for one not given.
    """
    arrays = {
        "latent": _obsm(adata, use_rep),
        "labels_true": _obs(adata, label_key, "label_key"),
        "clusters": _obs(adata, cluster_key, "cluster_key"),
    }
    if rows is not None:
        arrays = {name: None if array is None else array[rows] for name, array in arrays.items()}
    table: list[ScoreRow] = []
    for name in metrics:
        metric = _metric(name)
        needed = {argument: _given(arrays, argument, name) for argument in metric.needs}
        table += score_rows(metric, name, arrays["labels_true"], **needed)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def score_rows(metric: Metric, name: str, labels: Any, **arrays: Any) -> list[ScoreRow]:
    """One metric: the row for all cells, and one per label if the metric has a meaning within a label."""
    if labels is None:
        return [(metric.task, name, float(metric.function(**arrays)), metric.better, "")]
    value, groups = metric.overall_and_per_label(labels, **arrays)
    values = {"": value, **groups}
    return [(metric.task, name, float(value), metric.better, group) for group, value in values.items()]


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise OptionError(f"there is no metric {name!r}; there are {', '.join(METRICS)}.{did_you_mean(name, METRICS)}")
    return METRICS[name]


def _obsm(adata: AnnData, key: str | None) -> Any:
    if key is not None and key not in adata.obsm:
        raise MissingKey.of("obsm", key, "use_rep", adata.obsm.keys())
    return None if key is None else np.asarray(adata.obsm[key])


def _obs(adata: AnnData, key: str | None, role: str) -> Any:
    if key is not None and key not in adata.obs:
        raise MissingKey.of("obs", key, role, adata.obs.columns)
    return None if key is None else adata.obs[key].to_numpy()


_KEY_OF = {"latent": "use_rep", "labels_true": "label_key", "clusters": "cluster_key"}


def _given(arrays: dict[str, Any], argument: str, metric: str) -> Any:
    value = arrays.get(argument)
    if value is None:
        task = METRICS[metric].task
        if argument in _KEY_OF:
            remedy = f"give {_KEY_OF[argument]}"
        elif task in TASKS:
            remedy = f"use tasks.{task}, which makes them"
        else:
            remedy = f"give them to METRICS[{metric!r}].function, or use the score of the task {task!r}"
        raise DataError(f"the metric {metric!r} must have {argument}; none were given. Please {remedy}.")
    return value
