"""Score a screen: predicted responses to many treatments, of one held-out label, each by itself and all together.

real control cells, real and predicted cells of every target -> per target: error of means, changed genes found,
correlation of the change, rank of its own real profile -> means over targets, pds -> rows of scores.csv, targets.csv

A target is one treatment: in a CRISPR screen, the gene that is cut. Whatever a prediction is held against comes from
real cells of the held-out label alone; its control cells are those that the prediction starts from.

References: [Roohani25] Virtual Cell Challenge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from cellwright.data.source import StoredSource
from cellwright.metrics import METRICS
from cellwright.metrics.change_pearson import change_pearson
from cellwright.metrics.changed_genes import by_fold_change, changed_genes
from cellwright.metrics.changed_genes_found import share_found
from cellwright.metrics.halves import half_split
from cellwright.metrics.mean_mae import mean_mae
from cellwright.metrics.pds import own_ranks
from cellwright.nn import transform as transforms
from cellwright.nn.transform import Transform
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score_response import FULL_SIZE, N_SPLITS, or_nan
from cellwright.train.infer import over_cells

Predict = Callable[[str], np.ndarray]
LEAST_CELLS = 10  # of a target, and of the controls: the mean of fewer says nothing of a small effect
LEAST_TARGETS = 2  # to tell apart
OF_TARGET = ("mean_mae", "changed_genes_found", "change_pearson")
TARGET_COLUMNS = ["group", "target", "n_cells", "n_changed", *OF_TARGET, "rank"]
JUDGED = {"changed_genes_found": "higher", "pds": "higher", "mean_mae": "lower"}  # what `screen_score` is made of


@dataclass(frozen=True, eq=False)
class Screen:
    """Real cells of one label: its controls, and those of every target that is scored; values on a model's scale."""

    group: str
    x_control: np.ndarray  # (n_control, n_vars)
    x_treated: dict[str, np.ndarray]  # by target, (n_treated, n_vars)
    target_gene: np.ndarray  # (n_targets,) position of the feature that has the target's name, -1 where there is none
    seed: int

    @cached_property
    def changed(self) -> dict[str, pd.DataFrame]:
        """What each target did to each gene, told from real cells; see `changed_genes`."""
        return {target: changed_genes(self.x_control, cells) for target, cells in self.x_treated.items()}

    @cached_property
    def ceiling(self) -> pd.DataFrame:
        """What half of the real treated cells score as the prediction of the other half, as rows of `scores.csv`.

        The mean over five seeded splits. As for single responses, `mean_mae` and `change_pearson` are corrected to full
        size; `changed_genes_found` and `pds` are as found between halves, so they are low for targets of few cells.
        """
        tables = []
        for split_seed in np.random.SeedSequence(self.seed).generate_state(N_SPLITS):
            halves = {target: half_split(cells, int(split_seed)) for target, cells in self.x_treated.items()}
            one = Screen(
                self.group, self.x_control, {t: half[0] for t, half in halves.items()}, self.target_gene, self.seed
            )
            others = {target: half[1] for target, half in halves.items()}
            tables.append(_by_target(one, others.__getitem__)[0])
        for table in tables:
            for name, correct in FULL_SIZE.items():
                if name in table:
                    table[name] = [or_nan(partial(correct, value)) for value in table[name]]
        rows = pd.concat([_rows(self, table) for table in tables])
        mean = rows.groupby("metric", sort=False)["value"].mean()
        return _rows(self, tables[0]).assign(value=mean.to_numpy())


@dataclass(frozen=True, eq=False)
class ScoredScreen:
    """What a prediction is worth: rows of `scores.csv` and of `targets.csv`; and the mean profiles that it came to."""

    scores: pd.DataFrame
    targets: pd.DataFrame
    means: np.ndarray  # (n_targets, n_vars) float64, of the predicted cells


def scored_targets(source: StoredSource, label: str) -> tuple[list[str], list[str]]:
    """The conditions beside the control of which the label has enough cells for a score, and those with too few."""
    assert source.schema.label is not None
    assert source.schema.condition is not None
    cells = source.annotation
    of_label = cells.label == source.schema.label.values.index(label)
    n = np.bincount(cells.condition[of_label & (cells.condition >= 0)], minlength=source.schema.n_conditions)
    counts = zip(source.schema.condition.values, n.tolist(), strict=True)
    there = {name: size for name, size in counts if name != source.schema.control and size > 0}
    enough = [name for name, size in there.items() if size >= LEAST_CELLS]
    return enough, [name for name in there if name not in enough]


def real_screen(source: StoredSource, label: str, *, scale: Transform, seed: int = 0) -> Screen:
    """The real cells of a label that a screen is scored by, read from the source: targets with `LEAST_CELLS` or more.

    A target's own gene is the feature with its name.
    """
    assert source.schema.label is not None
    assert source.schema.condition is not None
    cells, conditions = source.annotation, source.schema.condition.values
    of_label = cells.label == source.schema.label.values.index(label)

    def values(condition: int) -> np.ndarray:
        rows = np.flatnonzero(of_label & (cells.condition == condition))
        return over_cells(lambda minibatch: transforms.apply(scale, minibatch.x).dense(), source, rows)

    targets = scored_targets(source, label)[0]
    position = {name: at for at, name in enumerate(source.schema.var_names)}
    genes = np.array([position.get(target, -1) for target in targets], dtype=np.int64)
    treated = {target: values(conditions.index(target)) for target in targets}
    return Screen(label, values(source.schema.control_code), treated, genes, seed)


def score_screen(real: Screen, predict: Predict) -> ScoredScreen:
    """Hold predicted cells of every target of a screen against its real ones.

    `predict` gives the cells of a target, `(n_predicted, n_vars)`; it is asked once for each, so that only those of one
    are in memory.

    `targets` has a row per target: group (the label), target, n_cells (real treated ones), n_changed (genes that differ
    between real treated and control cells), mean_mae, changed_genes_found, change_pearson, and rank: how many real
    profiles of other targets are nearer to the prediction than its own (0 is best; see `pds`).

    `scores` are rows of `scores.csv` (task `perturb`, held_out true): the means of the three over targets, and `pds`,
    without the target's own gene in the distances where it is measured. A target that changes no gene counts 0 in
    `changed_genes_found`, by its definition. Raises `DataError` where features differ in number, there is no cell or
    there are fewer than two targets, `UnsuitableValues` for NaN.
    """
    targets, means = _by_target(real, predict)
    return ScoredScreen(_rows(real, targets), targets, means)


def screen_score(values: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """The summary of the Virtual Cell Challenge [Roohani25]: how far from a baseline (0) to a perfect prediction (1).

    The mean of (u - b) / (1 - b) for `changed_genes_found` and `pds`, and of 1 - u / b for `mean_mae`; u is the value,
    b that of the baseline, the mean response. Each is clipped at 0 by definition: a prediction is not penalised for
    what it does worse than the baseline, so a score above 0 may hide a large error. Read it beside its three parts.
    Targets that change no gene count 0 in `changed_genes_found`, so with such among them not even a perfect prediction
    reaches 1. Where the baseline is perfect there is nothing to gain, which is 0.
    """
    gains = []
    for name, better in JUDGED.items():
        u, b = values[name], baseline[name]
        room, gained = (1 - b, u - b) if better == "higher" else (b, b - u)
        gains.append(np.nan if np.isnan(gained) else max(0.0, gained / room) if room > 0 else 0.0)
    return float(np.mean(gains))


def _by_target(real: Screen, predict: Predict) -> tuple[pd.DataFrame, np.ndarray]:
    """`targets.csv`, and the mean of the predicted cells of each target."""
    rows, means = [], []
    for target in real.x_treated:
        predicted = predict(target)
        rows.append(_row(real, target, predicted))
        means.append(predicted.mean(axis=0, dtype=np.float64))
    true = np.stack([cells.mean(axis=0, dtype=np.float64) for cells in real.x_treated.values()])
    ranks = own_ranks(true, np.stack(means), real.target_gene)
    return pd.DataFrame(rows).assign(rank=ranks)[TARGET_COLUMNS], np.stack(means)


def _row(real: Screen, target: str, predicted: np.ndarray) -> dict[str, object]:
    control, treated, changed = real.x_control, real.x_treated[target], real.changed[target]
    return {
        "group": real.group,
        "target": target,
        "n_cells": len(treated),
        "n_changed": len(by_fold_change(changed)),
        "mean_mae": mean_mae(treated, predicted),
        "changed_genes_found": or_nan(lambda: share_found(changed, changed_genes(control, predicted))),
        "change_pearson": or_nan(lambda: change_pearson(control, treated, predicted)),
    }


def _rows(real: Screen, targets: pd.DataFrame) -> pd.DataFrame:
    """Rows of `scores.csv`: means over targets; a value that is not defined for a target is in no mean."""
    values = {name: float(targets[name].mean()) for name in OF_TARGET}
    values["pds"] = float(1 - targets["rank"].mean() / len(targets))
    rows = [(name, value, METRICS[name].better) for name, value in values.items()]
    frame = pd.DataFrame(rows, columns=["metric", "value", "better"])
    return frame.assign(task="perturb", group=real.group, held_out=True, seed=real.seed)[SCORE_COLUMNS]
