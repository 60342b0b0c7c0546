"""Score a predicted response: predicted cells against real treated cells of a type that no model saw treated.

    x_control, x_treated -> Reference: changed genes, the score of no change (floor), of real cells (ceiling)
    x_predicted -> metrics over all genes and over the most changed ones -> some placed between floor and ceiling
    -> rows of scores.csv (task, metric, value, better, group, held_out, seed)

Genes, floor and ceiling come from real cells alone. They are the same for every prediction of one type, and taking them
apart lets a study make them once.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellwright.errors import DataError, OptionError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.metrics.changed_genes import by_difference, changed_genes
from cellwright.metrics.changed_genes_found import share_found
from cellwright.metrics.halves import AT_LEAST_CELLS, corrected_to_full, half_split
from cellwright.metrics.responses import check_cells
from cellwright.run import SCORE_COLUMNS

ALL_GENES = (
    "mean_r2",
    "mean_fit",
    "mean_mae",
    "change_pearson",
    "changed_genes_found",
    "e_distance",
    "mmd",
    "variance_error",
)
TOP_GENES = ("mean_r2", "mean_fit", "change_pearson", "e_distance", "variance_error")
# What is placed between no change and real cells: where halves of the real cells are a sound ceiling. They are none of
# variance_error and mmd (half as many cells have noisier variances and distances, often worse than no change), of
# changed_genes_found (half as many cells find fewer genes), nor over the most changed genes (chosen on both halves, so
# that each knows of the other).
PLACED = ("mean_r2", "mean_fit", "mean_mae", "change_pearson", "e_distance")
N_SPLITS = 5  # into halves
# What halves score against each other -> what samples as large as all of the cells would. Twice the cells halve the
# expected squared difference of two means and divide their expected difference (of normal errors) by the root of two:
# without that a rare type's ceiling of mean_mae is next to no change, and what is placed between them means nothing.
FULL_SIZE: dict[str, Callable[[float], float]] = {
    "mean_r2": lambda r2: corrected_to_full(math.sqrt(r2)) ** 2,
    "change_pearson": corrected_to_full,
    "mean_fit": lambda fit: 1 - (1 - fit) / 2,
    "mean_mae": lambda mae: mae / math.sqrt(2),
}
# of real cells against other real cells: known, and need not be estimated. Only over all genes: chosen by the treated
# cells, genes fit these better than other ones
EXPECTED = {"e_distance": 0.0}


@dataclass(frozen=True, eq=False)
class Reference:
    """What predictions of one type's response are judged by: made of real cells, without any predicted one.

    `floor` and `ceiling` hold a value per metric (`mean_r2`, `mean_r2_top100`, ...), NaN where it is not defined.
    """

    x_control: np.ndarray  # (n_control, n_vars), log-normalised
    x_treated: np.ndarray  # (n_treated, n_vars)
    changed: pd.DataFrame  # of `metrics.changed_genes`, a row per gene
    n_top: int
    top: np.ndarray  # positions of the n_top most changed genes, the largest change first; all genes if they are fewer
    floor: dict[str, float]  # no change: control cells as the prediction
    ceiling: dict[str, float]  # real treated cells as the prediction of other real ones

    @classmethod
    def of(cls, x_control: np.ndarray, x_treated: np.ndarray, seed: int = 0, n_top: int = 100) -> "Reference":
        """From `x_control (n_control, n_vars)` and `x_treated (n_treated, n_vars)`, real cells, log-normalised.

        The ceiling is the mean over five seeded splits of the score of one half of the treated cells against the other.
        What compares means is corrected to full size, so it is what as many other real cells would score (`mean_r2` and
        `change_pearson` by the Spearman-Brown formula); `e_distance` over all genes is 0, its expectation. The rest is
        as found between halves: too poor for `variance_error`, `mmd` and `changed_genes_found`, which full samples
        would do better; too good over the most changed genes, which both halves have chosen. With fewer than four
        treated cells the ceiling is NaN.

        Raises `DataError` where the features differ in number or a side has fewer than two cells, `UnsuitableValues`
        for NaN, `OptionError` for an `n_top` under 1.
        """
        if n_top < 1:
            raise OptionError(f"n_top must be at least 1; it is {n_top}. Leave it out for 100 genes.")
        check_cells("the score of a response", 2, x_control=x_control, x_treated=x_treated)
        changed = changed_genes(x_control, x_treated)
        top = by_difference(changed)[:n_top]
        floor = _values(_Cells(x_control, x_treated, x_control), changed, top, n_top, known={})
        ceiling = dict.fromkeys(floor, math.nan)
        if len(x_treated) >= AT_LEAST_CELLS:
            ceiling = _ceiling(x_control, x_treated, top, n_top, seed)
        return cls(x_control, x_treated, changed, n_top, top, floor, ceiling)

    def placed(self, name: str, value: float) -> float:
        """Where a value lies between no change (0) and the ceiling (1), not clipped.

        NaN where the ceiling is not better than no change, since then there is no way between them.
        """
        span = self.ceiling[name] - self.floor[name]
        there_is_a_way = span < 0 if METRICS[_metric_of(name)].better == "lower" else span > 0
        return (value - self.floor[name]) / span if there_is_a_way else math.nan


def score_response(reference: Reference, x_predicted: np.ndarray, *, group: str, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` (task `perturb`, held_out true) of the predicted treated cells of the cell type `group`.

    `x_predicted (n_predicted, n_vars)` is log-normalised as the real cells of the reference; no rows belong together.
    Metrics:

    - those of `ALL_GENES` under their names; those of `TOP_GENES` over the most changed genes as `<name>_top100` (or
      what the reference's `n_top` is). Which genes these are is told from real cells alone
    - those of `PLACED` once more as `<name>_placed`: 0 is the score of the control cells, 1 that of real treated cells
      (see `Reference.of`); higher is better, and a value may lie outside. NaN where real cells are not better than
      the controls, as may be with few cells or a small response

    A value that is not defined for these cells is NaN, for example a distance from a single predicted cell. `seed` is
    only written beside the values: that of the run.

    Raises `DataError` where the features differ in number or there is no cell, `UnsuitableValues` for NaN.
    """
    check_cells("the score of a response", 1, x_treated=reference.x_treated, x_predicted=x_predicted)
    cells = _Cells(reference.x_control, reference.x_treated, x_predicted)
    values = _values(cells, reference.changed, reference.top, reference.n_top, known={})
    return _rows(reference, values, group, seed)


def response_ceiling(reference: Reference, *, group: str, seed: int = 0) -> pd.DataFrame:
    """The same rows for real treated cells in place of predicted ones, for a table that shows what can be reached."""
    return _rows(reference, reference.ceiling, group, seed)


@dataclass(frozen=True)
class _Cells:
    control: np.ndarray
    treated: np.ndarray
    predicted: np.ndarray

    def over(self, genes: np.ndarray) -> "_Cells":
        return _Cells(self.control[:, genes], self.treated[:, genes], self.predicted[:, genes])

    def value(self, name: str) -> float:
        """One metric of `METRICS`; NaN where it is not defined for these cells."""
        real, predicted = self.treated, self.predicted
        arrays = {"x_control": self.control, "x_treated": real, "x_real": real}
        arrays |= {"x_predicted": predicted, "x_generated": predicted}
        metric = METRICS[name]
        return or_nan(lambda: metric.function(**{need: arrays[need] for need in metric.needs}))


def or_nan(value: Callable[[], float]) -> float:
    """The value, NaN where it is not defined for these cells; `UnsuitableValues` goes on."""
    try:
        return float(value())
    except UnsuitableValues:
        raise
    except DataError:
        return math.nan


def _values(
    cells: _Cells, changed: pd.DataFrame, top: np.ndarray, n_top: int, known: Mapping[str, float]
) -> dict[str, float]:
    """Every metric, or what is `known` of it over all genes; `changed` is of the treated cells, made once for many."""
    over_top = cells.over(top)
    found = or_nan(lambda: share_found(changed, changed_genes(cells.control, cells.predicted)))
    known = {"changed_genes_found": found, **known}
    values = {name: known[name] if name in known else cells.value(name) for name in ALL_GENES}
    return values | {f"{name}_top{n_top}": over_top.value(name) for name in TOP_GENES}


def _ceiling(x_control: np.ndarray, x_treated: np.ndarray, top: np.ndarray, n_top: int, seed: int) -> dict[str, float]:
    """The mean over splits, per metric."""
    splits = []
    for split_seed in np.random.SeedSequence(seed).generate_state(N_SPLITS):
        one, other = half_split(x_treated, int(split_seed))
        values = _values(_Cells(x_control, one, other), changed_genes(x_control, one), top, n_top, known=EXPECTED)
        splits.append({name: _of_full_size(name, value) for name, value in values.items()})
    return {name: float(np.mean([values[name] for values in splits])) for name in splits[0]}


def _of_full_size(name: str, value: float) -> float:
    correct = FULL_SIZE.get(_metric_of(name))
    return value if correct is None or math.isnan(value) else or_nan(lambda: correct(value))


def _metric_of(name: str) -> str:
    return name.split("_top")[0]


def _rows(reference: Reference, values: dict[str, float], group: str, seed: int) -> pd.DataFrame:
    rows = []
    for name, value in values.items():
        rows.append((name, value, METRICS[_metric_of(name)].better))
        if name in PLACED:
            rows.append((f"{name}_placed", reference.placed(name, value), "higher"))
    frame = pd.DataFrame(rows, columns=["metric", "value", "better"])
    return frame.assign(task="perturb", group=group, held_out=True, seed=seed)[SCORE_COLUMNS]
