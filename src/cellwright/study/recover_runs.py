"""Recover runs: one arm of a study of imputations with one seed: all exams, each with a fit of its own.

    OpenedCells, arm, seed -each exam-> a new model is fitted -> expectations, draws -> scores.csv, tables, cells.h5ad

Every exam makes cells of its own, of which the model sees nothing else, and no labels: what is hidden reaches neither
training, nor the choice of genes, nor that of settings. A run is the fit of the first exam; the fits of the others are
not kept.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cellwright.core.abilities import Draws, Imputes
from cellwright.core.minibatch import Minibatch
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
from cellwright.errors import OptionError
from cellwright.models import build_with
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.study.arm import Arm
from cellwright.study.folder import Outcome, attempted, run_at
from cellwright.study.recover_plan import KEPT, RecoverOptions
from cellwright.tasks.ask import annotated
from cellwright.tasks.exams import EXAMS
from cellwright.tasks.exams.exam import Asked, Impute
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

BLOCK_ROWS = 512  # cells that are imputed together


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
class OpenedCells:
    """The opened cells, their fingerprint, and their proteins."""

    source: StoredSource
    data: dict[str, Any]
    proteins: Proteins | None


def opened(study: RecoverStudy) -> OpenedCells:
    """The cells and proteins of a study.

    Raises `OptionError` where the modality of the counts is not named, `UnsuitableValues` where they are no counts, and
    what `proteins_of` raises.
    """
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
    return OpenedCells(source, fingerprint(source), found)


def run_alone(study: RecoverStudy, runs: list[tuple[int, Arm]], watch: Callable[[Outcome], None]) -> None:
    """In a process of its own: one thread."""
    torch.set_num_threads(1)
    run_all(study, opened(study), runs, watch)


def run_all(
    study: RecoverStudy, cells: OpenedCells, runs: Sequence[tuple[int, Arm]], watch: Callable[[Outcome], None]
) -> None:
    """Every seed and arm, one after another; each outcome is told to `watch`."""
    for seed, arm in runs:
        watch(_attempt(study, cells, seed, arm))


def _attempt(study: RecoverStudy, cells: OpenedCells, seed: int, arm: Arm) -> Outcome:
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
            cells = without_labels(source)
            model = self._fitted(cells, is_run=exam == KEPT)
            if exam == KEPT:
                self._kept = model, cells
            return _Imputed(model, cells, self.seed)

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


def without_labels(source: StoredSource) -> StoredSource:
    """The same cells, of which no model is told label or condition; these stay in `annotation.obs`.

    Labels are mostly clusters of the whole counts, and would tell of the molecules that are hidden.
    """
    unknown = np.full(source.n_obs, -1, dtype=np.int64)
    return replace(
        source,
        schema=source.schema.model_copy(update={"label": None, "condition": None, "control": None}),
        annotation=replace(source.annotation, label=unknown, condition=unknown),
    )


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


def _notes(study: RecoverStudy, arm: Arm, cells: OpenedCells) -> dict[str, Any]:
    schema = cells.source.schema
    return {
        "setting": arm.setting,
        "label_key": schema.label.key if schema.label else None,
        "batch_key": schema.batch.key if schema.batch else None,
        "open": dict(study.keys),
        "hidden": study.options.hidden,
        "n_proteins": 0 if cells.proteins is None else len(cells.proteins.names),
    }
