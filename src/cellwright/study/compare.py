"""Compare: every model and the baselines on a user's cells: same splits, several seeds, mean with interval, cost.

    data, arms x seeds -> runs/<data>-<model>-<hash>-s<seed>/ (fit, evaluate) -> leaderboard.csv, study.toml

Runs that are finished are found again by the hash of data, options and seed, so a comparison that was killed
continues. A model that fails is a row that says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.data.check import check_values
from cellwright.data.fingerprint import fingerprint
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import CellwrightError, DataError, OptionError, UnsuitableValues
from cellwright.models import build_with
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.study.arm import Arm, refuse_repeated, with_baselines
from cellwright.study.evaluate import Asked, evaluate
from cellwright.study.folder import (
    Outcome,
    attempted,
    data_name,
    run_at,
    scores_of,
    with_unscored,
    write_board,
    write_plan,
)
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run


class CompareOptions(Options):
    """What is compared, and how often."""

    models: tuple[str, ...] = Field(
        ("ae", "dae", "vae"), description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each has its own split and weights")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping")
    test: float = Field(0.1, ge=0, lt=1, description="share of the cells that is held out for scoring")
    folds: int | None = Field(
        None,
        ge=2,
        description="cross-validation instead of --test: seed s holds out fold s of this many, stratified by label; "
        "with as many seeds, every cell is held out once",
    )
    group_key: str | None = Field(
        None, description="column of obs (donor, replicate): --test or --folds hold out whole groups"
    )
    split_key: str | None = Field(
        None,
        description="column of obs that says train, validation or test of each cell, instead of --test; without "
        "validation cells, they are drawn from train",
    )

    calibrate: bool = Field(
        default=False, description="scale the probabilities of classifiers by a temperature, fitted on validation cells"
    )
    min_accuracy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="classifiers answer 'unsure' below a probability: the lowest at which answered validation "
        "cells are right this often",
    )

    @field_validator("split_key")
    @classmethod
    def _is_the_only_split(cls, value: str | None, info: ValidationInfo) -> str | None:
        for other in ("folds", "group_key"):
            if value is not None and info.data.get(other) is not None:
                raise ValueError(f"must be left out where {other} is given, because it says the whole split")
        return value


class Examine(Protocol):
    """What is asked of every fitted model: it writes the scores into the run, and `cells.h5ad` last."""

    def __call__(self, run: Run, model: Model, cells: Prepared, *, seed: int, for_looking: bool) -> None:
        """Ask it; UMAP and the like only `for_looking`."""


@dataclass(frozen=True, eq=False)
class Study:
    """A comparison to be run: its folder, its plan, the cells of each seed, and what is asked."""

    folder: Path
    name: str
    arms: list[Arm]
    fit_options: FitOptions
    cells: Callable[[int], Prepared]  # by seed
    provenance: dict[str, Any]  # the command, and where in the data what is
    examine: Examine


def compare(
    data: Any,
    options: CompareOptions = CompareOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions = OpenOptions(),  # noqa: B008  frozen
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "compare",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> pd.DataFrame:
    """Run the comparison into the study folder `out` and return its leaderboard.

    `data` is what `open_data` takes; `name` is what tables call it; `command` is what the runs say made them. Raises
    what concerns all models alike (data, keys); what concerns one model is a row with the status `failed` and the
    reason.
    """
    asked = [Arm.parse(text) for text in options.models]
    refuse_repeated(asked, "models of CompareOptions")
    _refuse_unscored(asked, options)
    fit_options = fit_options.model_copy(update={"validation": options.validation})
    splits = options.model_dump(include={"validation", "test", "folds", "group_key", "split_key"})

    def cells(seed: int) -> Prepared:
        return prepare(data, keys, SplitOptions(seed=seed, **splits), preprocessing)

    prepared = cells(0)  # before the plan is written: a key that is not there must not become a study's
    _refuse_untested(asked, prepared, options)
    arms = with_baselines(asked, modalities=prepared.source.schema.modalities, real_valued=real_valued(prepared))
    arms = [arm for arm in arms if arm in asked or can_use(arm, prepared)]
    provenance = {"command": command, "open": dict(keys)}
    examine = partial(evaluate, asked=Asked(options.min_accuracy, options.calibrate))
    study = Study(Path(out), name or data_name(data), arms, fit_options, cells, provenance, examine)
    plan = {"compare": options, "open": keys, "fit": fit_options, "preprocess": preprocessing}
    free = {("compare", "models"), ("compare", "seeds"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    return write_leaderboard(study, run_study(study, prepared, options.seeds, watch))


def run_study(study: Study, first: Prepared, seeds: int, watch: Callable[[Outcome], None]) -> list[Outcome]:
    """Every arm with every seed, the leaderboard written after each that is new; `first` are the cells of seed 0."""
    outcomes: list[Outcome] = []
    for seed in range(seeds):
        prepared = study.cells(seed) if seed else first
        for arm in study.arms:
            outcomes.append(run_arm(study, arm, seed, prepared))
            if not outcomes[-1].found:
                write_leaderboard(study, outcomes)
            watch(outcomes[-1])
    return outcomes


def run_arm(study: Study, arm: Arm, seed: int, cells: Prepared) -> Outcome:
    """Fit and evaluate one arm with one seed, or find it done; a failure is written into its run and its outcome."""

    def work(run: Run) -> None:
        model = _fitted(study, arm, seed, cells, run)
        run.note("setting", arm.setting)
        run.note("label_key", cells.source.schema.label.key if cells.source.schema.label else None)
        run.note("batch_key", cells.source.schema.batch.key if cells.source.schema.batch else None)
        run.note("preprocessing", cells.report)
        run.note("open", study.provenance["open"])
        study.examine(run, model, cells, seed=seed, for_looking=seed == 0)

    what = {
        "options": arm.options().model_dump(mode="json"),
        "fit": study.fit_options.model_dump(mode="json", exclude={"seed", "checkpoint_seconds"}),
        "data": fingerprint(cells.source),
        "split": cells.split.names().tolist(),
    }
    return attempted(Outcome(arm, seed, run_at(study.folder, study.name, arm.model, what, seed)), work)


def write_leaderboard(study: Study, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """`leaderboard.csv` from the outcomes so far; an arm that failed, or that has no score, is a row without one."""
    tables = [scores_of(study.name, outcome) for outcome in outcomes]
    scored = [table for table in tables if len(table)]
    unscored = [outcome for outcome, table in zip(outcomes, tables, strict=True) if not len(table)]
    board = summarise(pd.concat(scored, ignore_index=True)) if scored else pd.DataFrame(columns=LEADERBOARD_COLUMNS)
    return write_board(study.folder, with_unscored(board, study.name, unscored))


def _refuse_unscored(arms: Sequence[Arm], options: CompareOptions) -> None:
    """What a classifier or forecaster says of cells that it learnt from, and how surely, tells nothing of others."""
    asked = _asked_of_validation(options)
    if asked and not options.validation and options.split_key is None:
        raise OptionError(
            f"validation of CompareOptions must be above 0 where {asked} is given, which is chosen on validation "
            "cells; it is 0. Give a share."
        )
    if (arm := _of_held_out(arms)) and not options.test and options.folds is None and options.split_key is None:
        raise OptionError(
            f"test of CompareOptions must be above 0 to score {arm[0]}, which is a {arm[1]}; it is 0. "
            "Give a share, or folds."
        )


def _asked_of_validation(options: CompareOptions) -> str | None:
    return "min_accuracy" if options.min_accuracy is not None else "calibrate" if options.calibrate else None


def _refuse_untested(arms: Sequence[Arm], cells: Prepared, options: CompareOptions) -> None:
    asked = _asked_of_validation(options)
    if asked and not len(cells.split.validation):
        raise DataError(
            f"obs[{options.split_key!r}] (split_key) must call cells 'validation' where {asked} is given and "
            "validation is 0; it calls none. Give a share for validation, or another column."
        )
    if (arm := _of_held_out(arms)) and options.split_key is not None and not len(cells.split.test):
        raise DataError(
            f"obs[{options.split_key!r}] (split_key) must call cells 'test' to score {arm[0]}, which is a "
            f"{arm[1]}; it calls none. Give another column, or folds."
        )


def _of_held_out(arms: Sequence[Arm]) -> tuple[str, str] | None:
    """The first model that has scores of held-out cells only, and what it is."""
    kinds = {"classifies": "classifier", "forecasts": "forecaster"}
    found = [(arm.model, kind) for arm in arms for ability, kind in kinds.items() if ability in arm.entry.abilities]
    return found[0] if found else None


def real_valued(cells: Prepared) -> list[str]:
    """The modalities with values that have no logarithm: negative ones, or gaps in sequences."""
    found = []
    for modality in cells.source.schema.modalities:
        try:
            check_values(cells.source, Support.non_negative, wanted_by="a logarithm", modality=modality)
        except UnsuitableValues:
            found.append(modality)
    return found


def refuse_several(cells: Prepared, study: str) -> None:
    """Raise `DataError` for cells with several modalities, for a study of one."""
    if len(names := cells.source.schema.modalities) > 1:
        raise DataError(
            f"{study} must be of one modality; the data have {', '.join(names)}. Name it: modality={names[0]!r} "
            f"(--modality {names[0]})."
        )


def can_use(arm: Arm, cells: Prepared) -> bool:
    """Whether the values are such as the model takes: of a baseline that nobody asked for no row need say so."""
    try:
        model = build_with(arm.model, cells.source.schema, arm.options())
        for modality in cells.source.schema.modalities:
            check_values(cells.source, model.support_in(modality), wanted_by=arm.model, modality=modality)
    except UnsuitableValues:
        return False
    except CellwrightError:
        return True  # its row says why it cannot be built
    return True


def _fitted(study: Study, arm: Arm, seed: int, cells: Prepared, run: Run) -> Model:
    if run.exists() and run.record.status == "done":  # fitted, then killed before it was evaluated
        return load_run(run.path)
    model = build_with(arm.model, cells.source.schema, arm.options())
    options = study.fit_options.model_copy(update={"seed": seed})
    fit(
        model,
        cells.source,
        options,
        split=cells.split,
        run=run.path,
        command=study.provenance["command"],
        progress=False,
    )
    return model
