"""Recover: which imputation gives hidden molecules back, and what harm it does; models, baselines, several seeds.

    cells, arms x seeds -EXAMS-> runs/<data>-<model>-<hash>-s<seed>/ -> leaderboard.csv, recommendation.csv, study.toml

Runs that are finished are found again, so a study that was killed continues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.run import replacing
from cellwright.study.folder import Outcome, data_name, scores_of, with_unscored, write_board, write_plan
from cellwright.study.processes import in_processes
from cellwright.study.recommendation import recommendation
from cellwright.study.recover_plan import RecoverOptions, arms_of
from cellwright.study.recover_runs import RecoverStudy, opened, run_all, run_alone
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.train.options import FitOptions


@dataclass(frozen=True, eq=False)
class Recovery:
    """What a study found: its leaderboard, and for every model what is to be said for and against it."""

    leaderboard: pd.DataFrame
    recommendation: pd.DataFrame


def recover(
    data: Any,
    options: RecoverOptions = RecoverOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions = OpenOptions(),  # noqa: B008  frozen
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    proteins: Any = None,
    links: Path | str | None = None,
    name: str | None = None,
    command: str = "recover",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> Recovery:
    """Run the study into the folder `out`: `study.toml`, `runs/`, `leaderboard.csv`, `recommendation.csv`.

    `data` is what `open_data` takes, and must be counts; `proteins` are those of the same cells (see
    `data.proteins.proteins_of`), a path, an AnnData or, of a MuData, the name of a modality, with `links` a table of
    protein and gene. `preprocessing` chooses features from what the exams of molecules, entries and halves leave to
    see; it removes no cell, permuted genes are those with most molecules, and proteins are asked of all features.

    Of `fit_options` three are not read: `validation` is that of `options`, `seed` that of the run, and nothing is
    balanced, for no model is told labels (see `without_labels`).

    Values are dense in memory: some times n_obs x n_vars x 8 bytes in each of `options.workers` processes.

    Raises what concerns all runs alike (data, keys, proteins, a model that does not impute) before anything is written;
    what concerns one model is a row with the status `failed` and the reason.
    """
    arms = arms_of(options)
    fit_options = fit_options.model_copy(update={"validation": options.validation, "balance": FitOptions().balance})
    study = RecoverStudy(
        Path(out), name or data_name(data), data, keys, preprocessing, options, fit_options, tuple(arms),
        (proteins, links), command,
    )  # fmt: skip
    cells = opened(study)
    plan = {"recover": options, "open": keys, "fit": study.fit_options, "preprocess": preprocessing}
    free = {("recover", "models"), ("recover", "seeds"), ("recover", "workers"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if not outcome.found:  # what was there before is in the tables, or comes into them at the end
            _write_tables(study, outcomes)
        watch(outcome)

    runs = [(seed, arm) for seed in range(options.seeds) for arm in arms]
    if options.workers > 1:
        parts = [runs[first :: options.workers] for first in range(min(options.workers, len(runs)))]
        in_processes(run_alone, study, parts, note)
    else:
        run_all(study, cells, runs, note)
    return _write_tables(study, outcomes)


def _write_tables(study: RecoverStudy, outcomes: Sequence[Outcome]) -> Recovery:
    """`leaderboard.csv` and `recommendation.csv` from the outcomes so far, in the order of the plan."""
    place = {arm: at for at, arm in enumerate((arm.model, arm.setting) for arm in study.arms)}
    ordered = sorted(outcomes, key=lambda o: (o.seed, place[o.arm.model, o.arm.setting]))
    tables = [scores_of(study.name, outcome) for outcome in ordered]
    scored = [table for table in tables if len(table)]
    scores = pd.concat(scored, ignore_index=True) if scored else pd.DataFrame()
    board = summarise(scores) if scored else pd.DataFrame(columns=LEADERBOARD_COLUMNS)
    unscored = [outcome for outcome, table in zip(ordered, tables, strict=True) if not len(table)]
    board = write_board(study.folder, with_unscored(board, study.name, unscored))
    recommended = recommendation(scores)
    with replacing(study.folder / "recommendation.csv") as path:
        recommended.to_csv(path, index=False)
    return Recovery(board, recommended)
