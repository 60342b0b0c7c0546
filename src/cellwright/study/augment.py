"""Augment: whether it helps a classifier to add generated cells of rare classes to its training cells.

    data, seeds -> a split and the classes that lack training cells -> generators, classifiers x remedies -> runs
    -> leaderboard.csv, augment.csv, verdict.txt

All remedies raise the same classes to the same number of cells. Runs that are finished are found again, so a study that
was killed continues; a model that fails is a row that says why.

References: [Marouf20], who found rare cells to be told better with generated ones; [Chawla02] SMOTE.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.core.support import Support
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import DataError, OptionError
from cellwright.run import replacing
from cellwright.study.augment_cells import lack_of
from cellwright.study.augment_plan import (
    NONE,
    WEIGHTS,
    AugmentOptions,
    Variant,
    generators_of,
    name_of,
    twins_of,
    variants_of,
)
from cellwright.study.augment_runs import AugmentStudy, SeedRuns
from cellwright.study.augmentation import effects_of, verdict
from cellwright.study.folder import Outcome, data_name, scores_of, with_unscored, write_board, write_plan
from cellwright.study.perturb_cells import within
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.train.options import FitOptions

MAY_GROW = ("models", "classifiers", "balance", "seeds")  # when a study goes on


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What a study found: its leaderboard, the tests of remedies, and the answer in sentences."""

    leaderboard: pd.DataFrame
    effects: pd.DataFrame
    verdict: list[str]


def augment_study(
    data: Any,
    options: AugmentOptions = AugmentOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions,
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "augment_study",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> Augmentation:
    """Run the study into the folder `out`: `study.toml`, `runs/`, `leaderboard.csv`, `augment.csv`, `verdict.txt`.

    `data` is what `open_data` takes; `keys` must name labels. `fit_options.balance` is not read: remedies are in
    `options`. Each split is stratified by label; genes are chosen (with `preprocessing`) from its training cells.

    Raises what concerns all runs alike (data, keys, no class below `options.target`) before anything is written; what
    concerns one model is a row with the status `failed` and the reason.
    """
    if keys.label_key is None:
        raise OptionError("label_key of an augmentation study must name the classes; it was not given. Give label_key.")

    def cells(seed: int) -> Prepared:
        shares = {"validation": options.validation, "test": options.test}
        return prepare(data, keys, SplitOptions(seed=seed, **shares), preprocessing)

    prepared = cells(0)
    _refuse_enough(prepared, options.target)
    generators = generators_of(options, are_counts=within(prepared.source, Support.counts))
    variants = variants_of(options, generators)
    fit_options = fit_options.model_copy(update={"validation": options.validation, "balance": FitOptions().balance})
    place, called = Path(out), name or data_name(data)
    study = AugmentStudy(place, called, options.target, keys, fit_options, tuple(generators), tuple(variants), command)
    _write_plan(study, options, preprocessing)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        watch(outcome)

    seeds: list[SeedRuns] = []
    for seed in range(options.seeds):
        seeds.append(SeedRuns(study, seed, cells(seed) if seed else prepared))
        seeds[-1].run(note)
        found = _write_tables(study, seeds, outcomes)
    return found


def _refuse_enough(cells: Prepared, target: int) -> None:
    if not lack_of(cells, target).n_new:
        raise DataError(
            f"target of AugmentOptions must be above the number of training cells of some class; all have {target} or "
            "more, so there is nothing to add. Give a larger target."
        )


def _write_plan(study: AugmentStudy, options: AugmentOptions, preprocessing: PreprocessOptions | None) -> None:
    plan = {"augment": options, "open": study.keys, "fit": study.fit_options, "preprocess": preprocessing}
    free = {("augment", name) for name in MAY_GROW} | {("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)


def _write_tables(study: AugmentStudy, seeds: Sequence[SeedRuns], outcomes: Sequence[Outcome]) -> Augmentation:
    tables = [_scores(study.name, outcome) for outcome in outcomes]
    scored = [table for table in tables if len(table)]
    scores = pd.concat(scored, ignore_index=True) if scored else pd.DataFrame()
    unscored = [outcome for outcome, table in zip(outcomes, tables, strict=True) if not len(table)]
    board = summarise(scores) if len(scores) else pd.DataFrame(columns=LEADERBOARD_COLUMNS)
    board = write_board(study.folder, with_unscored(board, study.name, unscored))
    generators = [name_of(generator) for generator in study.generators]
    effects = effects_of(_with_class_weights(scores, study.variants), generators, _mean_sizes(seeds))
    label = seeds[0].cells.source.schema.label
    said = verdict(effects, generators, label.n if label else 0, study.target)
    with replacing(study.folder / "augment.csv") as path:
        effects.to_csv(path, index=False)
    with replacing(study.folder / "verdict.txt") as path:
        path.write_text("".join(f"{sentence}\n" for sentence in said), encoding="utf-8")
    return Augmentation(board, effects, said)


def _scores(name: str, outcome: Outcome) -> pd.DataFrame:
    if not isinstance(outcome.arm, Variant):
        return pd.DataFrame()  # a generator's cells are judged by what they do for classifiers
    return scores_of(name, outcome).assign(of=outcome.arm.arm.setting, added=outcome.arm.added)


def _with_class_weights(scores: pd.DataFrame, variants: Sequence[Variant]) -> pd.DataFrame:
    """The scores, and those of a classifier that weighs its classes once more, as a remedy of the one that does not."""
    parts = [scores]
    for weighted, plain in twins_of(variants) if len(scores) else ():
        is_it = (scores["model"] == weighted.model) & (scores["of"] == weighted.setting) & (scores["added"] == NONE)
        parts.append(scores[is_it].assign(model=plain.model, of=plain.setting, added=WEIGHTS))
    return pd.concat(parts, ignore_index=True)


def _mean_sizes(seeds: Sequence[SeedRuns]) -> dict[str, float]:
    """Training cells of each rare class, mean over the seeds in which it is rare; fewest first."""
    sizes = pd.DataFrame([seed.lack.by_name(seed.lack.n_cells) for seed in seeds]).mean().sort_values(kind="stable")
    return {str(name): float(n) for name, n in sizes.items()}
