"""Folder: what every study does with its folder, whatever it compares.

plan -write_plan-> study.toml;  data, options, seed -run_at-> runs/<data>-<model>-<hash>-s<seed>/
run, work -attempted-> Outcome (found finished, done, or failed with a reason);  outcomes -> leaderboard.csv
"""

import hashlib
import json
import re
import tomllib
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import tomli_w

from cellwright.core.options import Options
from cellwright.errors import CellwrightError, RunError
from cellwright.models import Entry
from cellwright.run import Run, replacing, why_not_written
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.train.interrupt import Interrupted


class Entrant(Protocol):
    """What stands in a leaderboard: a model with a setting."""

    @property
    def model(self) -> str:
        """The name in MODELS."""

    @property
    def setting(self) -> str:
        """What differs from the preset, for tables."""

    @property
    def entry(self) -> Entry:
        """Its line in MODELS."""


@dataclass(frozen=True)
class Outcome:
    """One run of the plan: what the fit took, whether it was `found` finished, and the `reason` why it failed."""

    arm: Entrant
    seed: int
    run: Run
    seconds: float = 0.0
    found: bool = False
    reason: str = ""
    held_out: str = ""  # what the run was not trained on, where a study holds out one thing after another


def attempted(outcome: Outcome, work: Callable[[Run], None]) -> Outcome:
    """Do the work of a run that is to be done, or find it done; a failure is written into the run and the outcome.

    The last file that `work` writes is `cells.h5ad`: a run that has it is complete.
    """
    run = outcome.run
    if _is_complete(run):
        return _with(outcome, seconds=run.record.wall_seconds, found=True)
    try:
        work(run)
        run.finish()
    except (Interrupted, RunError):
        raise
    except Exception as error:  # noqa: BLE001  one model that fails, for whatever reason, does not end the study
        return _with(outcome, reason=_failed(run, error))
    return _with(outcome, seconds=run.record.wall_seconds)


def run_at(folder: Path, data: str, model: str, what: dict[str, Any], seed: int) -> Run:
    """The run `runs/<data>-<model>-<hash>-s<seed>`; the hash is of `what`: options, cells, split."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    return Run(folder / "runs" / f"{data}-{model}-{digest}-s{seed}")


def data_name(data: Any) -> str:
    """What tables call data that nobody named: the name of the file, or of each modality."""
    if isinstance(data, Mapping):
        return "-".join(map(str, data))
    name = Path(data).name.rsplit(".", 1)[0] if isinstance(data, str | Path) else "data"
    # a folder's name is made of it
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def write_board(folder: Path, board: pd.DataFrame) -> pd.DataFrame:
    """Write `leaderboard.csv` and return it."""
    with replacing(folder / "leaderboard.csv") as path:
        board.to_csv(path, index=False)
    return board


def with_unscored(board: pd.DataFrame, data: str, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The leaderboard, and a row without score for each of `outcomes`, which failed or have nothing to be scored by."""
    if not outcomes:
        return board
    rows = pd.DataFrame([_without_score(data, outcome) for outcome in outcomes], columns=LEADERBOARD_COLUMNS)
    rows = rows.drop_duplicates(["model", "setting", "reason"])
    return pd.concat([board, rows], ignore_index=True) if len(board) else rows


def scores_of(data: str, outcome: Outcome) -> pd.DataFrame:
    """`scores.csv` of a run with what the leaderboard says of it; no rows for a run that failed."""
    table = pd.DataFrame() if outcome.reason else outcome.run.table("scores.csv")
    if not len(table):
        return table
    record = outcome.run.record
    return table.assign(**who(data, outcome.arm), seconds=record.wall_seconds, peak_bytes=record.peak_bytes)


def who(data: str, arm: Entrant) -> dict[str, Any]:
    """The first columns of a leaderboard."""
    return {"data": data, "model": arm.model, "setting": arm.setting, "is_baseline": arm.entry.model.is_baseline}


def write_plan(
    folder: Path, data: str, tables: Mapping[str, Options | None], *, free: Collection[tuple[str, str]]
) -> None:
    """`study.toml`: the plan, a table for each kind of options.

    What is `free`, pairs of table and option, may differ when a study goes on (models and seeds may be added). Raises
    `RunError` for a folder with another study or with other files.
    """
    plan = {"data": data} | {
        name: options.model_dump(mode="json", exclude_none=True)  # TOML has no word for it, at any depth
        for name, options in tables.items()
        if options is not None
    }
    path = folder / "study.toml"
    if path.exists():
        _refuse_another_plan(folder, plan, tomllib.loads(path.read_text()), free)
    if folder.is_dir() and not path.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} must be a new or an empty folder, or a study; it holds other files. Give another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(why_not_written(folder, error)) from None
    with replacing(path) as part:
        part.write_text(tomli_w.dumps(plan))


def _with(outcome: Outcome, **values: Any) -> Outcome:
    return Outcome(**{**vars(outcome), **values})


def _is_complete(run: Run) -> bool:
    return run.exists() and run.record.status == "done" and (run.path / "cells.h5ad").exists()


def _failed(run: Run, error: Exception) -> str:
    reason = str(error) if isinstance(error, CellwrightError) else f"{type(error).__name__}: {error}"
    if run.exists():
        run.log("".join(traceback.format_exception(error)))
        run.fail(reason)
    return reason or type(error).__name__


def _without_score(data: str, outcome: Outcome) -> dict[str, Any]:
    if outcome.reason:
        return {**who(data, outcome.arm), "status": "failed", "reason": outcome.reason}
    record = outcome.run.record
    cost = {"seconds": record.wall_seconds, "peak_bytes": record.peak_bytes}
    return {**who(data, outcome.arm), **cost, "status": "done", "reason": ""}


def _refuse_another_plan(
    folder: Path, plan: dict[str, Any], there: dict[str, Any], free: Collection[tuple[str, str]]
) -> None:
    if there.get("data") != plan["data"]:
        raise RunError(
            f"{folder} must be a study of {plan['data']!r}; it is one of {there.get('data')!r}. Give another folder."
        )
    for part in sorted((plan.keys() | there.keys()) - {"data"}):
        ours, theirs = plan.get(part, {}), there.get(part, {})
        for key in sorted(ours.keys() | theirs.keys()):
            if (part, key) not in free and ours.get(key) != theirs.get(key):
                raise RunError(
                    f"{folder} holds a study with another {key}: {theirs.get(key)!r}, now {ours.get(key)!r}; "
                    "results of two studies do not go into one table. Give another folder."
                )
