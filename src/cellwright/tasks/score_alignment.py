"""Score an alignment: do cells of one modality lie where the same kind, or the same cell, lies of another.

latent, modality and label of each cell, which cells are the same -> rows of scores.csv (task `align`)

Labels and pairs are for the scores alone: no model of unpaired modalities looks at them.

References: [Liu19] the fraction of samples closer than the true match; [Demetci22] transfer of labels.
"""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pandas as pd

from cellwright.errors import DataError
from cellwright.metrics import METRICS
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score import ScoreRow

TASK = "align"
TRANSFERS = ("transfer_f1", "transfer_accuracy")


def score_alignment(
    latent: np.ndarray,
    modality: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    pairs: np.ndarray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of `scores.csv`: labels carried over from each modality to each other, and how near the same cells lie.

    `latent (n_obs, n_latent)`; `modality (n_obs,)` names what each cell was measured by; `labels (n_obs,)` with NaN
    where unknown, of which the transfers, one per direction (the group `rna to protein`), are scored by the five
    nearest cells; `pairs (n_pairs, 2)` are the rows of the same cell in two modalities, for FOSCTTM (.5 is chance).

    Raises `DataError` where there is a single modality, or neither labels nor pairs.
    """
    names = pd.unique(modality)
    if len(names) < 2:
        raise DataError(
            f"score_alignment needs cells of two modalities; all are of {', '.join(map(str, names))!r}. Give the "
            "latent of cells of both."
        )
    if labels is None and pairs is None:
        raise DataError("score_alignment needs labels, or pairs of rows of the same cell; it got neither. Give one.")
    rows = [] if labels is None else list(_transfers(latent, modality, np.asarray(labels), names))
    if pairs is not None:
        metric = METRICS["foscttm"]
        value = metric.function(latent[pairs[:, 0]], latent[pairs[:, 1]])
        rows.append((metric.task, "foscttm", float(value), metric.better, ""))
    frame = pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=False, seed=seed)[SCORE_COLUMNS]


def _transfers(latent: np.ndarray, modality: np.ndarray, labels: np.ndarray, names: np.ndarray) -> Iterator[ScoreRow]:
    for source, target in permutations(names, 2):
        from_, to = modality == source, modality == target
        for name in TRANSFERS:
            metric = METRICS[name]
            value = metric.function(latent[from_], labels[from_], latent[to], labels[to])
            yield metric.task, name, float(value), metric.better, f"{source} to {target}"
