"""Halves: does an imputation find markers between two random halves of one cell type, where there are none.

cells of one label -two random halves, each imputed by itself-> Wilcoxon test, gene by gene -> share of false markers

The largest labels are asked; without labels of enough cells, all cells are one.
"""

import numpy as np

from cellwright.metrics import METRICS
from cellwright.tasks.exams.exam import Asked, Exam, Examined, Impute, chosen_features, drawn, normalised, only
from cellwright.tasks.score import ScoreRow

METRIC = METRICS["false_markers"]
N_LABELS, LEAST_CELLS, MOST_CELLS = 2, 100, 800  # that are asked; of each


def random_halves(asked: Asked, impute: Impute) -> Examined:
    """The share of false markers: the mean over the labels, and each; of expectations and of draws."""
    rng = asked.rng(3)
    features = chosen_features(asked.source, asked.preprocessing)
    means: dict[str, float] = {}
    draws: dict[str, float] = {}
    for name, rows in _groups(asked).items():
        cells = rng.permutation(rows)[:MOST_CELLS]
        halves = (np.sort(cells[: len(cells) // 2]), np.sort(cells[len(cells) // 2 :]))
        first, second = (impute(only(asked.source, half, features)) for half in halves)
        means[name] = _share(first.mean, second.mean)
        if first.draw is not None and second.draw is not None:
            draws[name] = _share(first.draw, second.draw)
    return Examined([*_rows(means), *drawn(_rows(draws))])


def _share(first: np.ndarray, second: np.ndarray) -> float:
    return METRIC.function(x_first=np.log1p(normalised(first)), x_second=np.log1p(normalised(second)))


def _rows(found: dict[str, float]) -> list[ScoreRow]:
    if not found:
        return []
    every = [("", float(np.mean(list(found.values()))))] + [(name, value) for name, value in found.items() if name]
    return [(METRIC.task, "false_markers", value, METRIC.better, name) for name, value in every]


def _groups(asked: Asked) -> dict[str, np.ndarray]:
    """Rows of the largest labels by name; of all cells, under no name, where no label is large enough."""
    source = asked.source
    everything = {"": np.arange(source.n_obs)} if source.n_obs >= LEAST_CELLS else {}
    if source.schema.label is None:
        return everything
    sizes = np.bincount(source.annotation.label[source.annotation.label >= 0], minlength=source.schema.n_labels)
    largest = np.argsort(-sizes, kind="stable")[:N_LABELS]
    names = source.schema.label.values
    found = {
        names[code]: np.flatnonzero(source.annotation.label == code) for code in largest if sizes[code] >= LEAST_CELLS
    }
    return found or everything


HALVES = Exam(random_halves, "halves of one cell type are imputed apart: do they seem to differ")
