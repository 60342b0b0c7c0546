"""Perturb runs: one group of a perturbation study: its cells, and every model on them; groups in several processes.

Group -> Prepared -> for each variant: fit (or a training that differs in what is learnt after it alone) -> predict
-> cells.h5ad, scores.csv, genes.csv, places.csv, ceiling.csv; in a screen cells.h5ad, scores.csv, targets.csv,
ceiling.csv
"""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellwright.data.fingerprint import fingerprint
from cellwright.data.open import open_data
from cellwright.data.prepare import Prepared
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.data.write import h5ad_bytes
from cellwright.models import build_with
from cellwright.models.model import Model
from cellwright.nn.transform import Transform
from cellwright.run import Run
from cellwright.study.folder import Outcome, attempted, run_at
from cellwright.study.perturb_cells import (
    CellOptions,
    cells_of,
    n_without_condition,
    other_treatments,
    small_labels,
    unlearnable_targets,
)
from cellwright.study.perturb_plan import ALL, Group, Variant
from cellwright.study.screen import predict_screen
from cellwright.tasks.perturb import RealCells, evaluate_perturbation, perturb, real_cells, scale_of
from cellwright.tasks.score_response import response_ceiling
from cellwright.tasks.score_screen import Screen, real_screen
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.relearn import relearn
from cellwright.train.saved import load_run

Watch = Callable[[Outcome], None]


@dataclass(frozen=True, eq=False)
class PerturbStudy:
    """All that a group needs beside the opened cells; it travels to other processes."""

    folder: Path
    name: str
    data: Any
    cells: CellOptions
    fit_options: FitOptions
    variants: tuple[Variant, ...]
    command: str


class GroupRuns:
    """The runs of one group, one after another; what several of them need is made once."""

    def __init__(self, study: PerturbStudy, source: StoredSource, group: Group) -> None:
        self.study, self.group = study, group
        self.cells: Prepared = cells_of(source, group, study.cells)
        self.left_out = small_labels(source, group, study.cells)
        self.targets_left_out = unlearnable_targets(source, group, study.cells)
        self.n_without_condition = n_without_condition(source, group)
        self.other_treatments = other_treatments(source, group, study.cells)
        self.data = fingerprint(self.cells.source)
        self.real: dict[tuple[str, Transform], RealCells | None] = {}
        self.screens: dict[Transform, Screen] = {}
        self.trained: dict[str, Path] = {}  # a run by what its training depends on

    def run(self, watch: Watch) -> list[Outcome]:
        """Every variant; a failure is an outcome like others."""
        outcomes = []
        for variant in self.study.variants:
            outcomes.append(self._attempt(variant))
            watch(outcomes[-1])
        return outcomes

    def _attempt(self, variant: Variant) -> Outcome:
        options = variant.fit_options(self.study.fit_options, self.group.seed)
        what = {
            "options": variant.options().model_dump(mode="json"),
            "fit": options.model_dump(mode="json", exclude={"seed", "checkpoint_seconds"}),
            "data": self.data,
            "split": self.cells.split.names().tolist(),
            "held_out": list(self.group.held_out),
            "treated": self.study.cells.treated,
        }
        run = run_at(self.study.folder, self.study.name, variant.model, what, self.group.seed)

        def work(run: Run) -> None:
            model = self._fitted(variant, options, run)
            self._note(variant, run)
            self._predict(model, run)

        outcome = attempted(Outcome(variant, self.group.seed, run, held_out=self.group.name), work)
        if not outcome.reason:
            self.trained.setdefault(_training_key(variant, options), run.path)
        return outcome

    def _fitted(self, variant: Variant, options: FitOptions, run: Run) -> Model:
        """The model, trained unless a run of this group has trained it already."""
        if run.exists() and run.record.status == "done":  # fitted, then killed before it was scored
            return load_run(run.path)
        model = build_with(variant.model, self.cells.source.schema, variant.options())
        source, split, command = self.cells.source, self._split_for(model), self.study.command
        trained = self.trained.get(_training_key(variant, options))
        if trained is not None and model.learnt_after:
            relearn(model, load_run(trained), source, options, split=split, run=run.path, command=command)
            run.note("trained_in", trained.name)  # its cost is that of the training
        else:
            fit(model, source, options, split=split, run=run.path, command=command, progress=False)
        return model

    def _split_for(self, model: Model) -> Split:
        """The validation cells train what has no use for them: a baseline, a network with a fixed budget."""
        split = self.cells.split
        if model.stages() and model.validates_on is not None:
            return split
        nothing = np.array([], dtype=np.int64)
        return Split(np.concatenate([split.train, split.validation]), nothing, split.test)

    def _note(self, variant: Variant, run: Run) -> None:
        schema = self.cells.source.schema
        keys = {
            f"{name}_key": getattr(schema, name).key
            for name in ("label", "batch", "condition")
            if getattr(schema, name)
        }
        notes = {
            "setting": variant.setting,
            "label_key": None,
            "batch_key": None,
            **keys,
            "control": schema.control,
            "treated": self.study.cells.treated or ALL,
            "hold_out": list(self.group.held_out),
            "left_out": self.left_out,
            "targets_left_out": self.targets_left_out,
            "n_without_condition": self.n_without_condition,
            "other_treatments": self.other_treatments,
            "balance": variant.remedy,
            "where": variant.where,
            "preprocessing": self.cells.report,
            "open": dict(self.study.cells.keys),
        }
        run.update(notes={**run.record.notes, **notes})

    def _predict(self, model: Model, run: Run) -> None:
        """Predict, score and write; `cells.h5ad` comes last: a run that has it is complete."""
        predicted = self._screen(model, run) if self.study.cells.is_screen else self._response(model, run)
        image = h5ad_bytes(predicted, compression="gzip")
        with run.writing("cells.h5ad") as path:
            path.write_bytes(image)

    def _response(self, model: Model, run: Run) -> AnnData:
        """The predicted cells, and what they are worth."""
        seed, treated = self.group.seed, self.study.cells.treated
        predicted = perturb(model, self.cells.source, treated=treated, labels=self.group.held_out, seed=seed)
        real = [found for label in self.group.held_out if (found := self._real(label, model)) is not None]
        if real:
            key = str(self.study.cells.keys.label_key)
            evaluated = [evaluate_perturbation(predicted, one, label_key=key, seed=seed) for one in real]
            run.add_scores(pd.concat([one.scores for one in evaluated], ignore_index=True))
            run.write_table("genes.csv", pd.concat([one.genes for one in evaluated], ignore_index=True))
            run.write_table("places.csv", pd.concat([one.places for one in evaluated], ignore_index=True))
            ceilings = [response_ceiling(one.reference, group=one.label, seed=seed) for one in real]
            run.write_table("ceiling.csv", pd.concat(ceilings, ignore_index=True))
        return predicted

    def _screen(self, model: Any, run: Run) -> AnnData:
        """The predicted mean of every target, and what it is worth."""
        source, scale = self.cells.source, scale_of(model)
        if scale not in self.screens:
            (label,) = self.group.held_out  # the plan of a screen holds out one after another
            self.screens[scale] = real_screen(source, label, scale=scale, seed=self.group.seed)
        return predict_screen(model, source, self.screens[scale], run)

    def _real(self, label: str, model: Any) -> RealCells | None:
        scale, treated = scale_of(model), self.study.cells.treated
        assert treated is not None, "a screen has real cells of its own"
        if (label, scale) not in self.real:
            self.real[label, scale] = real_cells(
                self.cells.source, label, treated=treated, scale=scale, seed=self.group.seed
            )
        return self.real[label, scale]


def run_groups(study: PerturbStudy, source: StoredSource, groups: list[Group], watch: Watch) -> None:
    """Every group, one after another."""
    for group in groups:
        GroupRuns(study, source, group).run(watch)


def run_groups_alone(study: PerturbStudy, groups: list[Group], watch: Watch) -> None:
    """`run_groups` in a process of its own: one thread, and no word of what the first process has said of the data."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    run_groups(study, open_data(study.data, **dict(study.cells.keys)), groups, watch)


def _training_key(variant: Variant, options: FitOptions) -> str:
    """What a training depends on: all but the options that only `learn` reads."""
    of_model = variant.options().model_dump(mode="json", exclude=set(variant.entry.model.learnt_after))
    return json.dumps([variant.model, of_model, options.model_dump(mode="json")], sort_keys=True)
