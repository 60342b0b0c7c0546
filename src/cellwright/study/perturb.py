"""Perturb: predict how cell types respond to a treatment that was never measured on them, many times over.

    data, held-out types x seeds -> groups of cells -> (baselines, models x remedies) on each -> runs
    -> leaderboard.csv, remedies.csv, networks.csv; for a single prediction the cells themselves, cells.h5ad

Nothing of the treated cells of a held-out type is used before the scores: not in training, in the choice of genes, in
balancing nor in the shift. Its control cells are training cells; so are, where one of several treatments is predicted,
its cells under the others (as what they are; a run notes which). Its cells of which the condition is not known are left
out. Runs that are finished are found again, so a study that was killed continues; a model that fails is a row that says
why.
"""

import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.source import StoredSource
from cellwright.errors import OptionError
from cellwright.run import replacing
from cellwright.study.arm import Arm
from cellwright.study.folder import Outcome, data_name, scores_of, with_unscored, write_board, write_plan
from cellwright.study.perturb_cells import (
    LEAST_SHARED,
    CellOptions,
    refuse_unsuitable,
    scored_labels,
    small_labels,
    unlearnable_targets,
    unscored_targets,
    usual_preprocessing,
    with_usable_models,
    within,
)
from cellwright.study.perturb_plan import (
    NONE,
    SHIFT_BALANCE,
    Group,
    PerturbOptions,
    Variant,
    groups_of,
    training_of,
    variants_of,
)
from cellwright.study.perturb_runs import PerturbStudy, run_groups, run_groups_alone
from cellwright.study.processes import in_processes
from cellwright.study.response import CEILING, board_of, networks_of, remedies_of, verdict
from cellwright.study.screen import with_screen_scores
from cellwright.tasks.perturb import treated_condition
from cellwright.tasks.score_response import PLACED
from cellwright.tasks.score_screen import LEAST_CELLS
from cellwright.train.options import FitOptions


@dataclass(frozen=True, eq=False)
class Responses:
    """What a study found: its leaderboard, the tests of remedies, and the answer in sentences."""

    leaderboard: pd.DataFrame
    remedies: pd.DataFrame
    verdict: list[str]


def perturb_study(
    data: Any,
    options: PerturbOptions,
    *,
    out: Path | str,
    keys: OpenOptions,
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "perturb_study",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> Responses:
    """Run the study into the folder `out`: `study.toml`, `runs/`, and the tables of `response` as CSV.

    `data` is what `open_data` takes; `keys` must name labels, conditions and the control. `preprocessing` None is the
    7,000 most variable genes, chosen from the training cells of each run; of data with fewer, or other than counts, all
    genes. `fit_options.balance` is not read: remedies are in `options`. With `options.hold_out`, `out` gets
    `cells.h5ad` as well, predicted by the first of the models with the first seed. With `options.treated` "all" the
    study is a screen: all treated cells of a held-out label are predicted, condition by condition, and scored together
    (see `screen`).

    Without treated cells of a held-out label there is nothing to score: models are fitted and predictions written.

    In memory are, beside the data, the dense cells of all held-out labels of a group, real (both sides) and predicted:
    each n_cells x n_vars x 4 bytes, 280 MB for 10,000 cells and 7,000 genes, and about 14 times that while one label is
    scored (see `tasks.perturb.real_cells`); in each of `options.workers` processes.

    Raises what concerns all runs alike (data, keys, labels, too few labels to learn from) before anything is written;
    what concerns one model is a row with the status `failed` and the reason.
    """
    _refuse_missing_keys(keys)
    source = open_data(data, **dict(keys))
    options = with_usable_models(options, source)
    cells = CellOptions(
        keys,
        preprocessing or usual_preprocessing(source),
        None if options.is_screen else treated_condition(source.schema, options.treated),
        options.min_cells,
        options.validation,
    )
    groups = groups_of(options)
    for group in groups:
        refuse_unsuitable(source, group, cells)
    _tell_left_out(source, groups, cells)
    variants = variants_of(options, fit_options, real_valued=not within(source, Support.non_negative))
    training = training_of(options, fit_options)
    _refuse_missing_batches(source, variants, training)
    study = PerturbStudy(Path(out), name or data_name(data), data, cells, training, tuple(variants), command)
    _write_plan(study, options)
    outcomes = _run_all(study, source, groups, options.workers, watch)
    found = _write_tables(study, source, groups, outcomes)
    if options.hold_out:
        _copy_cells(study, options, outcomes)
    return found


def _run_all(
    study: PerturbStudy,
    source: StoredSource,
    groups: Sequence[Group],
    n_workers: int,
    watch: Callable[[Outcome], None],
) -> list[Outcome]:
    """Every group, and tables as they go on; outcomes as they come, which with several workers is in any order."""
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) % len(study.variants) == 0:  # not after each: of hundreds of runs the tables take a second
            _write_tables(study, source, groups, outcomes)
        watch(outcome)

    if n_workers > 1 and len(groups) > 1:
        parts = [list(groups[first::n_workers]) for first in range(min(n_workers, len(groups)))]
        in_processes(run_groups_alone, study, parts, note)
    else:
        run_groups(study, source, list(groups), note)
    return outcomes


def _tell_left_out(source: StoredSource, groups: Sequence[Group], cells: CellOptions) -> None:
    small = dict.fromkeys(label for group in groups for label in small_labels(source, group, cells))
    if small:
        warnings.warn(
            f"labels with fewer than {cells.min_cells} control and treated cells are left out (min_cells): "
            f"{', '.join(small)}.",
            stacklevel=3,
        )
    if cells.is_screen:
        _tell_targets_left_out(source, groups, cells)


def _tell_targets_left_out(source: StoredSource, groups: Sequence[Group], cells: CellOptions) -> None:
    unlearnable = dict.fromkeys(
        f"{target} ({group.name})" for group in groups for target in unlearnable_targets(source, group, cells)
    )
    unscored = dict.fromkeys(one for group in groups for one in unscored_targets(source, group))
    told = {
        f"conditions with cells of fewer than {LEAST_SHARED} labels beside the held-out one are left out": unlearnable,
        f"conditions with fewer than {LEAST_CELLS} cells of a held-out label are not scored there": unscored,
    }
    for what, those in told.items():
        if those:
            warnings.warn(f"{what}: {', '.join(those)}.", stacklevel=4)


def _write_tables(
    study: PerturbStudy, source: StoredSource, groups: Sequence[Group], outcomes: Sequence[Outcome]
) -> Responses:
    """`leaderboard.csv`, `remedies.csv` and `networks.csv` from the outcomes so far, in the order of the plan."""
    in_plan = [(group.seed, group.name, arm.model, arm.setting) for group in groups for arm in study.variants]
    place = {key: at for at, key in enumerate(in_plan)}
    ordered = sorted(outcomes, key=lambda o: place[o.seed, o.held_out, o.arm.model, o.arm.setting])
    tables = [_scores(study, outcome) for outcome in ordered]
    scored = [table for table in tables if len(table)]
    scores = pd.concat([*scored, *_ceilings(study, ordered)], ignore_index=True) if scored else pd.DataFrame()
    if study.cells.is_screen:
        scores = with_screen_scores(scores)
    types = list(dict.fromkeys(t for group in groups for t in scored_labels(source, group, study.cells.treated)))
    unscored = [outcome for outcome, table in zip(ordered, tables, strict=True) if not len(table)]
    board = write_board(study.folder, with_unscored(board_of(scores, types), study.name, unscored))
    remedies = remedies_of(scores, types)
    for file, table in (("remedies.csv", remedies), ("networks.csv", networks_of(scores, types))):
        with replacing(study.folder / file) as path:
            table.to_csv(path, index=False)
    return Responses(board, remedies, verdict(scores, remedies, types))


def _scores(study: PerturbStudy, outcome: Outcome) -> pd.DataFrame:
    variant = outcome.arm
    assert isinstance(variant, Variant)
    scores = _soundly_placed(scores_of(study.name, outcome))
    return scores.assign(of=variant.base, remedy=variant.remedy, where=variant.where)


def _soundly_placed(scores: pd.DataFrame) -> pd.DataFrame:
    """Without what runs of an earlier version placed below a ceiling that is none (see `score_response.PLACED`)."""
    if not len(scores):
        return scores
    names = scores["metric"].astype(str)
    return scores[~names.str.endswith("_placed") | names.str.removesuffix("_placed").isin(PLACED)]


def _ceilings(study: PerturbStudy, outcomes: Sequence[Outcome]) -> list[pd.DataFrame]:
    """What real cells score, of each group from the first run that has it."""
    of_group: dict[tuple[int, str], pd.DataFrame] = {}
    for outcome in outcomes:
        if (outcome.seed, outcome.held_out) not in of_group and not outcome.reason:
            of_group[outcome.seed, outcome.held_out] = outcome.run.table("ceiling.csv")
    arm: dict[str, Any] = {"data": study.name, "model": CEILING, "setting": "", "is_baseline": True}
    arm |= {"of": "", "remedy": NONE, "where": "", "seconds": 0.0, "peak_bytes": 0}
    return [_soundly_placed(table).assign(**arm) for table in of_group.values() if len(table)]


def _write_plan(study: PerturbStudy, options: PerturbOptions) -> None:
    plan = {
        "perturb": options,
        "open": study.cells.keys,
        "fit": study.fit_options,
        "preprocess": study.cells.preprocessing,
    }
    may_grow = ("models", "seeds", "hold_out_each", "balance", "where", "workers")
    free = {("perturb", name) for name in may_grow} | {("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)


def _copy_cells(study: PerturbStudy, options: PerturbOptions, outcomes: Sequence[Outcome]) -> None:
    """The prediction of the model that was asked for first, without a remedy, by the first seed, where a user looks.

    Where this run failed there is no such file: that of another seed or remedy would pass for it.
    """
    asked = Arm.parse(options.models[0])
    first = next(variant for variant in study.variants if variant.arm == asked)  # the first is that without a remedy
    made = [outcome for outcome in outcomes if outcome.arm == first and outcome.seed == 0 and not outcome.reason]
    target = study.folder / "cells.h5ad"
    if not made:
        target.unlink(missing_ok=True)
        warnings.warn(
            f"there is no {target}: {first.model} failed with the first seed. What other runs predicted is in "
            f"{study.folder / 'runs'}.",
            stacklevel=3,
        )
        return
    with replacing(target) as path:
        shutil.copyfile(made[0].run.path / "cells.h5ad", path)


def _refuse_missing_keys(keys: OpenOptions) -> None:
    for name, what in (
        ("label_key", "the cell types"),
        ("condition_key", "the conditions"),
        ("control", "the condition of untreated cells"),
    ):
        if getattr(keys, name) is None:
            raise OptionError(f"{name} of a perturbation study must name {what}; it was not given. Give {name}.")


def _refuse_missing_batches(source: StoredSource, variants: Sequence[Variant], training: FitOptions) -> None:
    """A remedy by batches would fail in every run."""
    if source.schema.batch is not None:
        return
    for variant in variants:
        remedies = (variant.fit_options(training, 0).balance, dict(variant.options()).get(SHIFT_BALANCE))
        if any(remedy is not None and dict(remedy).get("by") == "batch" for remedy in remedies):
            raise OptionError(
                f"batch_key of a perturbation study must name the batches for {variant.setting or variant.model}; it "
                "was not given. Give batch_key, or a remedy by other classes."
            )
