"""Augment runs: one seed of a study of augmentation: its cells, every generator, every classifier with every remedy.

    cells of the seed -> each generator: fit -> generated.h5ad, cells of the rare classes
                      -> each classifier x remedy: fit on real and added training cells -> scores.csv of real test cells

Test cells are in no training and no choice of genes; generators, copies and cells between cells come from the training
cells alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad

from cellwright.data.balance import Over, Smote
from cellwright.data.fingerprint import fingerprint
from cellwright.data.prepare import OpenOptions, Prepared
from cellwright.data.write import h5ad_bytes
from cellwright.errors import DataError
from cellwright.keys import predicted_key
from cellwright.models import build_with
from cellwright.models.model import Model
from cellwright.run import SCORE_COLUMNS, Run
from cellwright.study.arm import Arm
from cellwright.study.augment_cells import Lack, Wider, lack_of, unchanged, with_copies, with_generated, with_smote
from cellwright.study.augment_plan import NONE, Variant, name_of
from cellwright.study.folder import Outcome, attempted, run_at
from cellwright.tasks.ask import annotated
from cellwright.tasks.classify import add_labels, score_classification
from cellwright.tasks.generate import generate
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

RARE_F1 = "macro_f1_rare"  # mean F1 of the classes that were raised
GENERATED = "generated.h5ad"


@dataclass(frozen=True, eq=False)
class AugmentStudy:
    """What all seeds share."""

    folder: Path
    name: str
    target: int
    keys: OpenOptions
    fit_options: FitOptions
    generators: tuple[Arm, ...]
    variants: tuple[Variant, ...]
    command: str


class SeedRuns:
    """The runs of one seed, one after another; what several of them need is made once."""

    def __init__(self, study: AugmentStudy, seed: int, cells: Prepared) -> None:
        self.study, self.seed, self.cells = study, seed, cells
        self.lack: Lack = lack_of(cells, study.target)
        self.fit_options = study.fit_options.model_copy(update={"seed": seed})
        self.made: dict[str, Outcome] = {}  # a generator's, by its name among the remedies
        self.wider: dict[str, Wider] = {}

    def run(self, watch: Callable[[Outcome], None]) -> None:
        """Every generator, then every classifier with every remedy; a failure is an outcome like others."""
        for generator in self.study.generators:
            run = self._run_at(generator.model, {"options": generator.options().model_dump(mode="json")})
            outcome = attempted(Outcome(generator, self.seed, run), partial(self._make, generator))
            self.made[name_of(generator)] = outcome
            watch(outcome)
        for variant in self.study.variants:
            source = self.made[variant.added].run.path.name if variant.added in self.made else variant.added
            what = {"options": variant.arm.options().model_dump(mode="json"), "added": source}
            run = self._run_at(variant.model, what)
            watch(attempted(Outcome(variant, self.seed, run), partial(self._classify, variant)))

    @cached_property
    def _data(self) -> dict[str, Any]:
        return fingerprint(self.cells.source)

    def _run_at(self, model: str, what: dict[str, Any]) -> Run:
        same = {
            "fit": self.study.fit_options.model_dump(mode="json", exclude={"seed", "checkpoint_seconds"}),
            "data": self._data,
            "split": self.cells.split.names().tolist(),
            "target": self.study.target,
        }
        return run_at(self.study.folder, self.study.name, model, {**what, **same}, self.seed)

    def _make(self, generator: Arm, run: Run) -> None:
        """Fit the generator, and let it make the cells that the rare classes lack."""
        model = self._fitted(generator, run, unchanged(self.cells))
        self._note(run, generator.setting, {})
        made = generate(model, labels=self.lack.by_name(self.lack.n_new), seed=self.seed)
        _write(run, GENERATED, made)
        _write(run, "cells.h5ad", annotated(model, self.cells.source, self.cells.split))

    def _classify(self, variant: Variant, run: Run) -> None:
        wider = self._with(variant.added)
        model = self._fitted(variant.arm, run, wider)
        self._note(run, variant.setting, {"added": variant.added, **wider.notes})
        scores = score_classification(model, self.cells.source, self.cells.split.test, held_out=True, seed=self.seed)
        run.add_scores(pd.concat([scores, rare_f1(scores, self.lack)], ignore_index=True))
        cells = annotated(model, self.cells.source, self.cells.split)
        key = predicted_key(cells.obs.columns)
        run.note("predicted_key", key)
        add_labels(cells, model, self.cells.source, key_added=key)
        _write(run, "cells.h5ad", cells)

    def _with(self, added: str) -> Wider:
        """The cells with those of a remedy. Raises `DataError` where the generator failed."""
        if added in self.made and self.made[added].reason:
            raise DataError(f"the generator {added} failed: {self.made[added].reason}")
        if added not in self.wider:
            self.wider[added] = self._widened(added)
        return self.wider[added]

    def _widened(self, added: str) -> Wider:
        rng = np.random.default_rng([self.seed, self.study.target])
        if added == NONE:
            return unchanged(self.cells)
        if added in self.made:
            return with_generated(self.cells, read_h5ad(self.made[added].run.path / GENERATED), rng)
        remedy = FitOptions(balance=added).balance
        if isinstance(remedy, Smote):
            return with_smote(self.cells, self.lack, remedy, rng)
        assert isinstance(remedy, Over), "other remedies are refused by the options"
        return with_copies(self.cells, self.study.target, remedy, rng)

    def _fitted(self, arm: Arm, run: Run, cells: Wider) -> Model:
        if run.exists() and run.record.status == "done":  # fitted, then killed before it was complete
            return load_run(run.path)
        model = build_with(arm.model, cells.source.schema, arm.options())
        command = self.study.command
        fit(model, cells.source, self.fit_options, split=cells.split, run=run.path, command=command, progress=False)
        return model

    def _note(self, run: Run, setting: str, notes: dict[str, Any]) -> None:
        schema = self.cells.source.schema
        keys = {f"{name}_key": field.key if (field := getattr(schema, name)) else None for name in ("label", "batch")}
        about = {
            "setting": setting,
            "rare": self.lack.by_name(self.lack.n_cells),
            "target": self.study.target,
            "preprocessing": self.cells.report,
            "open": dict(self.study.keys),
        }
        run.update(notes={**run.record.notes, **keys, **about, **notes})


def rare_f1(scores: pd.DataFrame, lack: Lack) -> pd.DataFrame:
    """The row of the mean F1 over the rare classes that have a test cell; none where no class has."""
    names = set(lack.by_name(lack.n_cells))
    of_class = scores[(scores["metric"] == "macro_f1") & scores["group"].isin(names)]
    return of_class.iloc[:1].assign(metric=RARE_F1, group="", value=of_class["value"].mean())[SCORE_COLUMNS]


def _write(run: Run, name: str, cells: AnnData) -> None:
    image = h5ad_bytes(cells)
    with run.writing(name) as path:
        path.write_bytes(image)
