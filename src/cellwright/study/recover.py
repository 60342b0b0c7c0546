"""Recover: which imputation gives hidden molecules back, and what harm it does; models, baselines, several seeds.

    cells, arms x seeds -EXAMS-> runs/<data>-<model>-<hash>-s<seed>/ -> leaderboard.csv, recommendation.csv, study.toml

Every exam makes cells of its own, of which the model sees nothing else: what is hidden reaches neither training, nor
the choice of genes, nor that of settings. A run is the fit of the first exam; the fits of the others are not kept. Runs
that are finished are found again, so a study that was killed continues.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field, field_validator

from cellwright.core.abilities import Draws, Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.data.check import check_values
from cellwright.data.fingerprint import fingerprint
from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.proteins import Proteins, proteins_of
from cellwright.data.source import StoredSource, in_order
from cellwright.data.split import Split, random_split
from cellwright.data.write import h5ad_bytes
from cellwright.errors import AbilityError, OptionError, did_you_mean
from cellwright.models import MODELS, build_with
from cellwright.models.model import Model
from cellwright.run import Run, replacing
from cellwright.study.arm import Arm, with_baselines
from cellwright.study.folder import (
    Outcome,
    attempted,
    data_name,
    refuse_repeated,
    run_at,
    scores_of,
    with_unscored,
    write_board,
    write_plan,
)
from cellwright.study.processes import in_processes
from cellwright.study.recommendation import recommendation
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.tasks.ask import annotated
from cellwright.tasks.exams import EXAMS
from cellwright.tasks.exams.exam import Asked, Impute
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

IMPUTES = "imputes"
BLOCK_ROWS = 512  # cells that are imputed together
KEPT = next(iter(EXAMS))  # the exam whose fit is the run
USUAL_MODELS = ("vae", "gae", "diffusion", "ae:likelihood=negative_binomial", "dae:likelihood=negative_binomial")


class RecoverOptions(Options):
    """What is compared, by which exams, and how often."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS, min_length=1, description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each hides other molecules and starts from other weights")
    exams: tuple[str, ...] = Field(
        tuple(EXAMS), description=f"what is asked: {', '.join(EXAMS)}; protein only where there are proteins"
    )
    hidden: float = Field(0.1, gt=0, lt=1, description="share of the molecules, or of the entries, that is hidden")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping; imputed like all")
    workers: int = Field(1, ge=1, description="processes that share the runs, one thread each")

    @field_validator("exams")
    @classmethod
    def _exams_exist(cls, exams: tuple[str, ...]) -> tuple[str, ...]:
        for name in exams:
            if name not in EXAMS:
                raise OptionError(
                    f"exams of RecoverOptions must be of {', '.join(EXAMS)}; {name!r} is none."
                    f"{did_you_mean(name, EXAMS)}"
                )
        if KEPT not in exams:
            raise OptionError(
                f"exams of RecoverOptions must hold {KEPT!r}, by which models are ordered; they are "
                f"{', '.join(exams) or 'none'}. Add it."
            )
        return tuple(name for name in EXAMS if name in exams)


@dataclass(frozen=True, eq=False)
class RecoverStudy:
    """All that a run needs beside the opened cells; it travels to other processes."""

    folder: Path
    name: str
    data: Any
    keys: OpenOptions
    preprocessing: PreprocessOptions | None
    options: RecoverOptions
    fit_options: FitOptions
    arms: tuple[Arm, ...]
    proteins: Any
    command: str


@dataclass(frozen=True, eq=False)
class Recovery:
    """What a study found: its leaderboard, and for every model what is to be said for and against it."""

    leaderboard: pd.DataFrame
    recommendation: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Cells:
    """The opened cells, their fingerprint, and their proteins."""

    source: StoredSource
    data: dict[str, Any]
    proteins: Proteins | None


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

    Values are dense in memory: some times n_obs x n_vars x 8 bytes in each of `options.workers` processes.

    Raises what concerns all runs alike (data, keys, proteins, a model that does not impute) before anything is written;
    what concerns one model is a row with the status `failed` and the reason.
    """
    arms = _arms(options)
    study = RecoverStudy(
        Path(out), name or data_name(data), data, keys, preprocessing, options,
        fit_options.model_copy(update={"validation": options.validation}), tuple(arms), (proteins, links), command,
    )  # fmt: skip
    cells = _opened(study)
    plan = {"recover": options, "open": keys, "fit": study.fit_options, "preprocess": preprocessing}
    free = {("recover", "models"), ("recover", "seeds"), ("recover", "workers"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _write_tables(study, outcomes)
        watch(outcome)

    runs = [(seed, arm) for seed in range(options.seeds) for arm in arms]
    if options.workers > 1:
        parts = [runs[first :: options.workers] for first in range(min(options.workers, len(runs)))]
        in_processes(_run_alone, study, parts, note)
    else:
        _run(study, cells, runs, note)
    return _write_tables(study, outcomes)


def n_runs_of(options: RecoverOptions) -> int:
    """How many runs the study has. Raises as `recover` for models that are not there or do not impute."""
    return options.seeds * len(_arms(options))


def _arms(options: RecoverOptions) -> list[Arm]:
    asked = [Arm.parse(text) for text in options.models]
    refuse_repeated(asked, "models of RecoverOptions")
    for arm in asked:
        if IMPUTES not in arm.entry.abilities:
            able = ", ".join(name for name, entry in MODELS.items() if IMPUTES in entry.abilities)
            raise AbilityError(f"{arm.model} cannot impute: it lacks the ability {IMPUTES!r}. {able} can.")
    return with_baselines(asked, abilities={IMPUTES})


def _opened(study: RecoverStudy) -> _Cells:
    source = open_data(study.data, **dict(study.keys))
    if len(source.schema.modalities) > 1:
        raise OptionError(
            f"modality of a study of imputations must name the one with the counts; the data have "
            f"{', '.join(source.schema.modalities)}. Give modality (--modality)."
        )
    check_values(source, Support.counts, wanted_by="hiding molecules")
    given, links = study.proteins
    found = None
    if given is not None:
        of_modality = isinstance(given, str) and not Path(given).expanduser().exists()
        data, modality = (study.data, given) if of_modality else (given, None)
        found = proteins_of(source, data, modality=modality, links=links)
    return _Cells(source, fingerprint(source), found)


def _run_alone(study: RecoverStudy, runs: list[tuple[int, Arm]], watch: Callable[[Outcome], None]) -> None:
    """In a process of its own: one thread."""
    torch.set_num_threads(1)
    _run(study, _opened(study), runs, watch)


def _run(study: RecoverStudy, cells: _Cells, runs: Sequence[tuple[int, Arm]], watch: Callable[[Outcome], None]) -> None:
    for seed, arm in runs:
        watch(_attempt(study, cells, seed, arm))


def _attempt(study: RecoverStudy, cells: _Cells, seed: int, arm: Arm) -> Outcome:
    """All exams of one arm with one seed, or the run found done; a failure is written into the run and the outcome."""
    exams = [name for name in study.options.exams if not EXAMS[name].needs or cells.proteins is not None]
    what = {
        "options": arm.options().model_dump(mode="json"),
        "fit": study.fit_options.model_dump(mode="json", exclude={"seed", "checkpoint_seconds"}),
        "data": cells.data,
        "preprocess": None if study.preprocessing is None else study.preprocessing.model_dump(mode="json"),
        "hidden": study.options.hidden,
        "exams": exams,
        "proteins": None if cells.proteins is None else _told(cells.proteins),
    }
    asked = Asked(cells.source, study.options.hidden, study.preprocessing, seed, cells.proteins)

    def work(run: Run) -> None:
        fitting = _Fitting(study, arm, seed, run)
        for name in exams:
            examined = EXAMS[name].function(asked, fitting.of(name))
            table = pd.DataFrame(examined.scores, columns=["task", "metric", "value", "better", "group"])
            run.add_scores(table.assign(held_out=True, seed=seed))
            for file, rows in examined.tables.items():
                run.write_table(file, rows)
        run.update(notes={**run.record.notes, **_notes(study, arm, cells)})
        image = h5ad_bytes(fitting.annotated())
        with run.writing("cells.h5ad") as path:  # comes last: a run that has it is complete
            path.write_bytes(image)

    return attempted(Outcome(arm, seed, run_at(study.folder, study.name, arm.model, what, seed)), work)


class _Fitting:
    """Fits a new model for every exam; that of the first is the run."""

    def __init__(self, study: RecoverStudy, arm: Arm, seed: int, run: Run) -> None:
        self.study, self.arm, self.seed, self.run = study, arm, seed, run
        self._kept: tuple[Model, StoredSource] | None = None

    def of(self, exam: str) -> Impute:
        """What an exam gets to ask."""

        def impute(source: StoredSource) -> _Imputed:
            model = self._fitted(source, is_run=exam == KEPT)
            if exam == KEPT:
                self._kept = model, source
            return _Imputed(model, source, self.seed)

        return impute

    def annotated(self) -> Any:
        """The cells of the run."""
        assert self._kept is not None, "the first exam is always asked"
        return annotated(*self._kept)

    def _fitted(self, source: StoredSource, *, is_run: bool) -> Model:
        run = self.run
        if is_run and run.exists() and run.record.status == "done":  # fitted, then killed before it was scored
            return load_run(run.path)
        model = build_with(self.arm.model, source.schema, self.arm.options())
        options = self.study.fit_options.model_copy(update={"seed": self.seed})
        split = _split(model, source, options)
        fit(
            model,
            source,
            options,
            split=split,
            run=run.path if is_run else None,
            command=self.study.command,
            progress=False,
        )
        return model


def _split(model: Model, source: StoredSource, options: FitOptions) -> Split:
    """Validation cells train what has no use for them: a baseline, a network with a fixed budget."""
    if model.stages() and model.validates_on is not None:
        return random_split(source.n_obs, validation=options.validation, seed=options.seed)
    nothing = np.array([], dtype=np.int64)
    return Split(np.arange(source.n_obs), nothing, nothing)


class _Imputed:
    """What a fitted model says of all cells of a source, when it is asked."""

    def __init__(self, model: Model, source: StoredSource, seed: int) -> None:
        self._model, self._source, self._seed = model, source, seed

    @cached_property
    def mean(self) -> np.ndarray:
        """(n_obs, n_vars) float32."""
        model = self._model
        assert isinstance(model, Imputes), "refused before"
        return self._of_all(model.impute)

    @cached_property
    def draw(self) -> np.ndarray | None:
        """(n_obs, n_vars) float32, or None."""
        model = self._model
        if not isinstance(model, Draws) or model.support < Support.counts:
            return None
        return self._of_all(model.draw_counts)

    @torch.no_grad()
    def _of_all(self, answer: Callable[[Minibatch, torch.Generator], torch.Tensor]) -> np.ndarray:
        generator = torch.Generator().manual_seed(self._seed)
        blocks = [answer(minibatch, generator).numpy() for minibatch in in_order(self._source, None, BLOCK_ROWS)]
        return np.concatenate(blocks)


def _told(proteins: Proteins) -> list[Any]:
    """What tells proteins from others."""
    values = hashlib.sha256(np.ascontiguousarray(proteins.values).tobytes()).hexdigest()
    return [list(proteins.names), list(proteins.genes), values]


def _notes(study: RecoverStudy, arm: Arm, cells: _Cells) -> dict[str, Any]:
    schema = cells.source.schema
    return {
        "setting": arm.setting,
        "label_key": schema.label.key if schema.label else None,
        "batch_key": schema.batch.key if schema.batch else None,
        "open": dict(study.keys),
        "hidden": study.options.hidden,
        "n_proteins": 0 if cells.proteins is None else len(cells.proteins.names),
    }


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
