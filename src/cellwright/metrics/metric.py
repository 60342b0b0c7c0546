"""Metric: a function of arrays with what a leaderboard must know of it. No torch, no AnnData.

arrays -> Metric.function -> one number, over all cells
arrays -> Metric.per_label -> one number per label (cell type), where that means something
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of


@dataclass(frozen=True)
class Metric:
    """What a metric is called, which task it judges, which direction is better, and which arrays it takes.

    `needs` are the names of the function's arguments: `labels_true`, `labels_predicted` and `clusters (n_obs,)`,
    `latent (n_obs, n_latent)`, `x_true` and `x_predicted (n_obs, n_vars)`, `x_real` and `x_generated
    (n_obs, n_vars)`, of which row i is a cell of the same label on either side. For responses to a treatment:
    `x_control`, `x_treated` and `x_predicted (n_cells, n_vars)`, of which no rows belong together; for many treatments,
    a row each, `true_means` and `predicted_means (n_perturbations, n_vars)` and `target_gene (n_perturbations,)`, a
    position or -1. For imputations: `x_hidden`, `x_entries` (NaN: not asked), `x_measured` and `x_expected`, `x_before`
    and `x_after (n_obs, n_vars)`, `x_rna` and `x_protein (n_obs, n_pairs)` of the same cells; `x_first` and `x_second`
    of two groups of cells.
    """

    function: Callable[..., float]
    title: str
    task: str  # a key of TASKS
    better: Literal["higher", "lower"]
    bounds: tuple[float, float]
    needs: tuple[str, ...]
    citation: str | None = None  # a key of docs/references.bib; None for what every textbook holds
    by_label: Callable[..., dict[str, float]] | None = None  # takes `labels_true` beside what the function needs

    def per_label(self, labels_true: Labels, **arrays: object) -> dict[str, float]:
        """The metric within each label, by the label's name; empty for a metric that means nothing within one label."""
        return {} if self.by_label is None else self.by_label(labels_true=labels_true, **arrays)


def within_labels(function: Callable[..., float]) -> Callable[..., dict[str, float]]:
    """A function that evaluates `function` on the cells of each label; NaN where it is not defined for them."""

    def by_label(labels_true: Labels, **arrays: np.ndarray) -> dict[str, float]:
        codes, names = codes_of(labels_true, "labels_true")
        return {name: _or_nan(function, arrays, codes == code) for code, name in enumerate(names)}

    return by_label


def _or_nan(function: Callable[..., float], arrays: dict[str, np.ndarray], rows: np.ndarray) -> float:
    try:
        return function(**{name: array[rows] for name, array in arrays.items()})
    except DataError:
        return float("nan")
