"""Compare: every model and the baselines on a user's cells: same splits, several seeds, mean with interval, cost.

    data, arms x seeds -> runs/<data>-<model>-<hash>-s<seed>/ (fit, evaluate) -> leaderboard.csv, study.toml

Runs that are finished are found again by the hash of data, options and seed, so a comparison that was killed
continues. A model that fails is a row that says why.
"""

import hashlib
import json
import re
import tomllib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w
from pydantic import Field

from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.data.check import check_values
from cellwright.data.fingerprint import fingerprint
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import CellwrightError, OptionError, RunError, UnsuitableValues
from cellwright.models import build_with
from cellwright.models.model import Model
from cellwright.run import Run, replacing, why_not_written
from cellwright.study.arm import Arm, with_baselines
from cellwright.study.evaluate import evaluate
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.train.fit import fit
from cellwright.train.interrupt import Interrupted
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


@dataclass(frozen=True, eq=False)
class Study:
    """A comparison to be run: its folder, its plan, and the cells of each seed."""

    folder: Path
    name: str
    arms: list[Arm]
    fit_options: FitOptions
    cells: Callable[[int], Prepared]  # by seed
    provenance: dict[str, Any]  # the command, and where in the data what is


@dataclass(frozen=True)
class Outcome:
    """One run of the plan: what the fit took, whether it was `found` finished, and the `reason` why it failed."""

    arm: Arm
    seed: int
    run: Run
    seconds: float = 0.0
    found: bool = False
    reason: str = ""


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
    _refuse_repeated(asked)
    _refuse_unscored(asked, options)
    fit_options = fit_options.model_copy(update={"validation": options.validation})
    splits = {"validation": options.validation, "test": options.test, "folds": options.folds}

    def cells(seed: int) -> Prepared:
        return prepare(data, keys, SplitOptions(seed=seed, **splits), preprocessing)

    prepared = cells(0)  # before the plan is written: a key that is not there must not become a study's
    arms = with_baselines(asked, real_valued=_is_real_valued(prepared))
    study = Study(Path(out), name or _name_of(data), arms, fit_options, cells, {"command": command, "open": dict(keys)})
    _write_plan(study, {"compare": options, "open": keys, "fit": fit_options, "preprocess": preprocessing})
    outcomes: list[Outcome] = []
    for seed in range(options.seeds):
        prepared = cells(seed) if seed else prepared
        for arm in arms:
            outcomes.append(run_arm(study, arm, seed, prepared))
            write_leaderboard(study, outcomes)
            watch(outcomes[-1])
    return write_leaderboard(study, outcomes)


def run_arm(study: Study, arm: Arm, seed: int, cells: Prepared) -> Outcome:
    """Fit and evaluate one arm with one seed, or find it done; a failure is written into its run and its outcome."""
    run = Run(run_folder(study, arm, seed, cells))
    if _is_complete(run):
        return Outcome(arm, seed, run, run.record.wall_seconds, found=True)
    try:
        model = _fitted(study, arm, seed, cells, run)
        run.note("setting", arm.setting)
        run.note("label_key", cells.source.schema.label.key if cells.source.schema.label else None)
        run.note("batch_key", cells.source.schema.batch.key if cells.source.schema.batch else None)
        run.note("preprocessing", cells.report)
        run.note("open", study.provenance["open"])
        evaluate(run, model, cells, seed=seed, for_looking=seed == 0)
        run.finish()
    except (Interrupted, RunError):
        raise
    except Exception as error:  # noqa: BLE001  one model that fails, for whatever reason, does not end the comparison
        return Outcome(arm, seed, run, reason=_failed(run, error))
    return Outcome(arm, seed, run, run.record.wall_seconds)


def run_folder(study: Study, arm: Arm, seed: int, cells: Prepared) -> Path:
    """`runs/<data>-<model>-<hash>-s<seed>`; the hash is of the options and of the data, split included."""
    what = {
        "options": arm.options().model_dump(mode="json"),
        "fit": study.fit_options.model_dump(mode="json", exclude={"seed", "checkpoint_seconds"}),
        "data": fingerprint(cells.source),
        "split": cells.split.names().tolist(),
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    return study.folder / "runs" / f"{study.name}-{arm.model}-{digest}-s{seed}"


def write_leaderboard(study: Study, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """`leaderboard.csv` from the outcomes so far; an arm that failed, or that has no score, is a row without one."""
    tables, unscored = [], []
    for outcome in outcomes:
        table = pd.DataFrame() if outcome.reason else _scores(study, outcome)
        if len(table):
            tables.append(table)
        else:
            unscored.append(_without_score(study, outcome))
    board = summarise(pd.concat(tables, ignore_index=True)) if tables else pd.DataFrame(columns=LEADERBOARD_COLUMNS)
    if unscored:
        rows = pd.DataFrame(unscored, columns=LEADERBOARD_COLUMNS).drop_duplicates(["model", "setting", "reason"])
        board = pd.concat([board, rows], ignore_index=True) if tables else rows
    with replacing(study.folder / "leaderboard.csv") as path:
        board.to_csv(path, index=False)
    return board


def _refuse_repeated(arms: Sequence[Arm]) -> None:
    """The same model twice, in whatever spelling, would count its seeds twice."""
    for index, arm in enumerate(arms):
        if any(other.model == arm.model and other.options() == arm.options() for other in arms[:index]):
            name = f"{arm.model} ({arm.setting})" if arm.setting else arm.model
            raise OptionError(f"models of CompareOptions must be different; {name} is there twice.")


def _refuse_unscored(arms: Sequence[Arm], options: CompareOptions) -> None:
    """What a classifier says of the cells that it learnt from tells nothing of others."""
    classifiers = [arm.model for arm in arms if "classifies" in arm.entry.abilities]
    if classifiers and not options.test and options.folds is None:
        raise OptionError(
            f"test of CompareOptions must be above 0 to score {classifiers[0]}, which is a classifier; it is 0. "
            "Give a share, or folds."
        )


def _is_real_valued(cells: Prepared) -> bool:
    """Whether there are values that have no logarithm: negative ones, or gaps in sequences."""
    try:
        check_values(cells.source, Support.non_negative, wanted_by="a logarithm")
    except UnsuitableValues:
        return True
    return False


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


def _is_complete(run: Run) -> bool:
    return run.exists() and run.record.status == "done" and (run.path / "cells.h5ad").exists()


def _failed(run: Run, error: Exception) -> str:
    reason = str(error) if isinstance(error, CellwrightError) else f"{type(error).__name__}: {error}"
    if run.exists():
        run.log("".join(traceback.format_exception(error)))
        run.fail(reason)
    return reason or type(error).__name__


def _scores(study: Study, outcome: Outcome) -> pd.DataFrame:
    record = outcome.run.record
    return outcome.run.table("scores.csv").assign(
        **_who(study, outcome.arm), seconds=record.wall_seconds, peak_bytes=record.peak_bytes
    )


def _without_score(study: Study, outcome: Outcome) -> dict[str, Any]:
    if outcome.reason:
        return {**_who(study, outcome.arm), "status": "failed", "reason": outcome.reason}
    record = outcome.run.record
    cost = {"seconds": record.wall_seconds, "peak_bytes": record.peak_bytes}
    return {**_who(study, outcome.arm), **cost, "status": "done", "reason": ""}


def _who(study: Study, arm: Arm) -> dict[str, Any]:
    baseline = arm.entry.model.is_baseline
    return {"data": study.name, "model": arm.model, "setting": arm.setting, "is_baseline": baseline}


def _name_of(data: Any) -> str:
    name = Path(data).name.rsplit(".", 1)[0] if isinstance(data, str | Path) else "data"
    # a folder's name is made of it
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _refuse_another_plan(study: Study, plan: dict[str, Any], there: dict[str, Any]) -> None:
    if there.get("data") != study.name:
        raise RunError(
            f"{study.folder} must be a study of {study.name!r}; it is one of {there.get('data')!r}. "
            "Give another folder."
        )
    free = {("compare", "models"), ("compare", "seeds"), ("fit", "checkpoint_seconds")}
    for part in ("open", "preprocess", "fit", "compare"):
        ours, theirs = plan.get(part, {}), there.get(part, {})
        for key in ours.keys() | theirs.keys():
            if (part, key) not in free and ours.get(key) != theirs.get(key):
                raise RunError(
                    f"{study.folder} holds a study with another {key}: {theirs.get(key)!r}, now {ours.get(key)!r}; "
                    "results of two studies do not go into one table. Give another folder."
                )


def _write_plan(study: Study, tables: dict[str, Options | None]) -> None:
    """`study.toml`: the plan. Models and seeds may be added; a folder with another study or other files is refused."""
    plan = {"data": study.name} | {
        name: {key: value for key, value in options.model_dump(mode="json").items() if value is not None}
        for name, options in tables.items()
        if options is not None
    }
    path = study.folder / "study.toml"
    if path.exists():
        _refuse_another_plan(study, plan, tomllib.loads(path.read_text()))
    if study.folder.is_dir() and not path.exists() and any(study.folder.iterdir()):
        raise RunError(
            f"{study.folder} must be a new or an empty folder, or a study; it holds other files. Give another."
        )
    try:
        study.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(why_not_written(study.folder, error)) from None
    with replacing(path) as part:
        part.write_text(tomli_w.dumps(plan))
