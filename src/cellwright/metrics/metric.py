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
    (n_obs, n_vars)`, of which row i is a cell of the same label on either side. For classifiers that say how sure they
    are: `probabilities (n_obs, n_labels)`, `codes_true (n_obs,)`, the columns of the true labels, and `answered
    (n_obs,)`, whether each cell got an answer. For integrations: `batches (n_obs,)`,
    `neighbours` and `neighbours_before`, a `Neighbours` each, and `latent_before (n_obs, n_features)`, of what was not
    corrected. For two modalities in one latent space: `latent_first` and `latent_second (n_obs, n_latent)` of the same
    cells, `latent_reference (n_reference, n_latent)` and `labels_reference (n_reference,)` of others. For responses to
    a treatment: `x_control`, `x_treated` and `x_predicted (n_cells, n_vars)`, of which no rows belong together; for
    many treatments, a row each, `true_means` and `predicted_means (n_perturbations, n_vars)` and `target_gene
    (n_perturbations,)`, a position or -1. For imputations: `x_hidden`, `x_entries` (NaN: not asked), `x_measured` and
    `x_expected`, `x_before` and `x_after (n_obs, n_vars)`, `x_rna` and `x_protein (n_obs, n_pairs)` of the same cells;
    `x_first` and `x_second` of two groups of cells. For forecasts: `x_future` (NaN: not measured) and `x_forecast
    (n_obs, n_ahead)`, `x_draws (n_obs, n_ahead, n_draws)`; of chains over states `transitions_true` and
    `transitions_learned (n_states, n_states)`, `terminal_true` and `terminal_learned (n_states,)`.
    """

    function: Callable[..., float]
    title: str
    task: str  # a key of TASKS
    better: Literal["higher", "lower"]
    bounds: tuple[float, float]
    needs: tuple[str, ...]
    citation: str | None = None  # a key of docs/references.bib; None for what every textbook holds
    by_label: Callable[..., dict[str, float]] | None = None  # takes `labels_true` beside what the function needs
    # the function is the mean of `by_label` over the labels, or over their cells, so one evaluation is enough for both
    mean_over: Literal["labels", "cells"] | None = None

    def per_label(self, labels_true: Labels, **arrays: object) -> dict[str, float]:
        """The metric within each label, by the label's name; empty for a metric that means nothing within one label."""
        return {} if self.by_label is None else self.by_label(labels_true=labels_true, **arrays)

    def overall_and_per_label(self, labels: Labels, /, **arrays: object) -> tuple[float, dict[str, float]]:
        """Both, from the arrays that `needs` names; a mean of what there is per label is evaluated once."""
        within = {name: array for name, array in arrays.items() if name != "labels_true"}
        if self.mean_over is None:
            return self.function(**arrays), self.per_label(labels, **within)
        groups = self.per_label(labels, **within)
        defined = [name for name, value in groups.items() if not np.isnan(value)]
        if not defined:
            return self.function(**arrays), groups  # it says what is missing
        weights = _cells_of(labels) if self.mean_over == "cells" else dict.fromkeys(defined, 1)
        return float(np.average([groups[n] for n in defined], weights=[weights[n] for n in defined])), groups


def _cells_of(labels: Labels) -> dict[str, int]:
    codes, names = codes_of(labels, "labels_true")
    return dict(zip(names, np.bincount(codes[codes >= 0]).tolist(), strict=True))


def mean_over_labels(by_label: dict[str, float], metric: str, label: str) -> float:
    """The mean of the values that are defined. Raises `DataError`, which says what `label` is needed, where none is."""
    defined = [value for value in by_label.values() if not np.isnan(value)]
    if not defined:
        raise DataError(
            f"{metric} needs a label with {label}; none of {len(by_label)} has. Give more cells, or coarser labels."
        )
    return float(np.mean(defined))


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
