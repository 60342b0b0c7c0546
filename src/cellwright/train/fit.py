"""Fit: the training loop, for every model.

    model.prepare(), model.stages() -> epochs over the training rows -> best weights on validation -> model.learn()
    -> the run folder

One loop for networks and baselines: a GAN has two objectives, a baseline has no stage. The order of cells comes from
(seed, stage, epoch), noise from (seed, stage, epoch, step, row), so a fit that was killed resumes to the same weights.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.balance import class_codes
from cellwright.data.check import check_cells, warn_of_logarithms
from cellwright.data.open import open_data
from cellwright.data.plan import Sequential
from cellwright.data.source import StoredSource
from cellwright.data.split import Split, random_split
from cellwright.errors import CellwrightError, DataError, SchemaMismatch
from cellwright.kernels.compiled import announcing_compilation
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.train.checkpoint import Checkpoint, Place, Saved
from cellwright.train.cost import Cost, measured
from cellwright.train.devices import Devices, devices_for, is_main_process
from cellwright.train.engine import Engine
from cellwright.train.history import History, Sums
from cellwright.train.interrupt import Interrupted, Interruption, watching_for_interruption
from cellwright.train.options import FitOptions
from cellwright.train.progress import FitProgress
from cellwright.train.random_state import draw_weights, own_random_state, seed_device
from cellwright.train.saved import begin_run, finish_run, load_run
from cellwright.train.stopping import EarlyStopping
from cellwright.train.threads import enough_threads

_BEFORE = 2**31  # in the place of an epoch: the random numbers of what comes before the first
_BALANCE = 2**31 + 1  # in the place of a stage: of what a remedy draws once for the fit


def fit(
    model: Model,
    data: Any,
    options: FitOptions = FitOptions(),  # noqa: B008  frozen
    *,
    split: Split | None = None,
    run: Path | str | None = None,
    command: str = "",
    progress: bool = True,
) -> History:
    """Train `model` on the training rows of `data` (a source, or what `open_data` takes); its weights change in place.

    A model that was fitted before goes on from its weights. `split` defaults to a random one with `options.validation`.
    With `run`, the folder holds all that design.md's run folder has; an unfinished run of the same options and data
    is resumed. `options.balance` changes which training cells an epoch shows, how often, and what they weigh; what the
    model estimates beside that (`prepare`, `learn`) is from the real training cells, and validation from real cells.

    Raises `SchemaMismatch` for data that the model was not built for, `UnsuitableValues` for values it cannot use,
    `DataError` for a classifier whose training or validation cells all lack a label and for a remedy that the training
    cells do not allow, `TrainingDiverged` for a loss that
    is not finite, `Interrupted` after Ctrl-C or SIGTERM (resumable), `RunError` for a folder that cannot be written.
    """
    source = data if isinstance(data, StoredSource) else open_data(data, schema=model.schema)
    _check_schema(model, source)
    for modality in source.schema.modalities:
        support = model.support_in(modality)
        check_cells(source, support, wanted_by=type(model).__name__, modality=modality)
        if support is Support.non_negative:
            warn_of_logarithms(source, wanted_by=name_of(model), modality=modality)
    split = split or random_split(source.n_obs, validation=options.validation, seed=options.seed)
    _check_labels(model, source, split)
    if model.stages():
        class_codes(options.balance, source, split.train)  # refuses a remedy without its annotation
    folder = None if run is None else Run(run)
    if folder is not None and is_main_process():
        begin_run(folder, model, source, split, options, command)
    try:
        with measured() as cost, own_random_state(options.seed):
            run_of_fit = _Fit(model, source, split, options, folder, progress=progress)
            history = run_of_fit.run()
    except Interrupted:
        raise
    except CellwrightError as error:
        if folder is not None and is_main_process():
            folder.fail(str(error), **asdict(cost))
        raise
    if folder is not None and is_main_process():
        finish_run(folder, model, history, {**run_of_fit.cost_with_earlier_parts(cost), "device": run_of_fit.device})
        # not before: with no room for the weights, the training would be lost
        Checkpoint.within(folder).remove()
    return history


class _Fit:
    """The state of one fit."""

    def __init__(
        self,
        model: Model,
        source: StoredSource,
        split: Split,
        options: FitOptions,
        folder: Run | None,
        *,
        progress: bool,
    ) -> None:
        self.model, self.source, self.split, self.options = model, source, split, options
        self.checkpoint = Checkpoint(None, options.checkpoint_seconds)
        if folder is not None:
            self.checkpoint = Checkpoint.within(folder, options.checkpoint_seconds, writes=is_main_process())
        self.history = History()
        self.progress = progress
        self.device = "cpu"
        self.started = time.perf_counter(), time.process_time()
        self.spent_before = 0.0, 0.0  # wall and CPU seconds of the parts of this fit that were interrupted

    def run(self) -> History:
        saved = self.checkpoint.load()
        if not self.model.fitted and saved is None:  # a checkpoint has all weights
            draw_weights(self.model)
            if self.model.pretrained:
                self.model.take(load_run(self.model.pretrained))
        stages = self.model.stages()
        if stages:
            self.balanced = self.options.balance.training(self.source, self.split.train, self._rng(_BALANCE, 0))
            devices = devices_for(self.options)
            self.device = str(devices.device)
            first = saved.place.stage if saved else 0
            n_entries = self.options.batch_size * self.model.schema.n_vars
            with watching_for_interruption() as interruption, enough_threads(n_entries):
                for stage in range(first, len(stages)):
                    here = saved if stage == first else None
                    if here is None:
                        self.model.eval()
                        self.model.prepare(stage, self.source, self.split.train, self._rng(stage, _BEFORE))
                    engine = Engine(devices, self.model, stages[stage], self.options)
                    self._stage(devices, engine, stage, here, interruption)
            self.model.to("cpu")
        self.model.eval()
        self.model.learn(self.source, self.split.train, self._rng(len(stages), 0))
        self.model.fitted = True
        return self.history

    def _stage(
        self, devices: Devices, engine: Engine, stage: int, saved: Saved | None, interruption: Interruption
    ) -> None:
        """All epochs of one stage; ends with the best weights on validation, or with the last where there is none."""
        place, best = self._resume(engine, stage, saved)
        stopping = EarlyStopping(**place.stopping)
        n_epochs = self.options.epochs(len(self.split.train), self.model.usual_epochs)
        title, n_cells = type(self.model).__name__, len(self.split.train)
        with (
            FitProgress(title, n_epochs, n_cells, shown=self.progress) as bar,
            announcing_compilation(bar.compiling),
        ):
            while place.epoch < n_epochs and not stopping.should_stop:
                means = self._epoch(devices, engine, place, best, interruption, bar)
                self.history.add(place.first_epoch + place.epoch, "train", means)
                if len(self.split.validation):
                    means = self._validate(devices, engine)
                    self.history.add(place.first_epoch + place.epoch, "validation", means)
                    watched = self.model.validates_on
                    if watched is not None and stopping.update(place.epoch, means[watched]):
                        best = {name: value.clone() for name, value in self.model.state_dict().items()}
                bar.epoch(place.epoch, means["loss"])
                place.epoch, place.index, place.sums = place.epoch + 1, 0, {}
                place.stopping, place.rows = asdict(stopping), [list(row) for row in self.history.rows]
                if self.checkpoint.due or interruption.signal_number:
                    self._save(place, best, engine)
                    self._refuse_to_go_on(interruption)
        self.history.endings.append(_ending(stopping, watched=bool(best)))
        if best:
            self.model.load_state_dict(best)
            self.history.best_epoch = place.first_epoch + stopping.best_epoch

    def _epoch(
        self,
        devices: Devices,
        engine: Engine,
        place: Place,
        best: dict[str, Tensor],
        interruption: Interruption,
        bar: FitProgress,
    ) -> dict[str, float]:
        """One pass over the training rows; the mean of each loss term."""
        self.model.train()
        sums = Sums(**place.sums)
        rng, seed = self._rng(place.stage, place.epoch), self._noise_seed(place.stage)
        world, rank = devices.world_size, devices.global_rank
        passes = self.balanced.minibatches(self.options.batch_size, place.block_rows, rng, rank, world)
        for index, minibatch in enumerate(passes):
            if index < place.index:
                continue  # done before the fit was interrupted
            noise = NoiseKey(seed, place.epoch, index)
            seed_device(devices.device, hash((noise.seed, noise.epoch, index, rank)) % 2**63)  # of the dropout
            terms = engine.step(minibatch.to(devices.device), Step(place.epoch, noise), index)
            sums.add(terms, float(minibatch.weight.sum()))
            bar.step(place.epoch, int(sums.weight))
            if self.checkpoint.due or interruption.signal_number:
                place.index, place.sums = index + 1, asdict(sums)
                self._save(place, best, engine)
                self._refuse_to_go_on(interruption)
        return sums.means

    @torch.no_grad()
    def _validate(self, devices: Devices, engine: Engine) -> dict[str, float]:
        """The mean of each loss term over the validation rows, the same noise in every epoch."""
        self.model.eval()
        sums = Sums()
        rng = np.random.default_rng(0)
        for index, minibatch in enumerate(self.source.minibatches(self.split.validation, 1024, Sequential(), rng)):
            sums.add(
                engine.evaluate(minibatch.to(devices.device), Step.evaluation(index)), float(minibatch.weight.sum())
            )
        return sums.means

    def _resume(self, engine: Engine, stage: int, saved: Saved | None) -> tuple[Place, dict[str, Tensor]]:
        if saved is None:
            stopping = EarlyStopping(self.options.patience, self.options.min_improvement)
            # noted, because the memory that is free decides where the data are read from, and that the default
            block_rows = self.options.shuffle_block_rows or self.source.preferred_block_rows
            rows = [list(row) for row in self.history.rows]
            place = Place(stage, self.history.n_epochs, block_rows, stopping=asdict(stopping), rows=rows)
            place.endings = list(self.history.endings)
            return place, {}
        self.model.load_state_dict(saved.part("model"))
        for number, optimiser in enumerate(engine.optimisers):
            optimiser.load_state(saved.part(f"optimiser/{number}"))
        self.history.rows = [(int(e), str(s), str(t), float(v)) for e, s, t, v in saved.place.rows]
        self.history.endings = list(saved.place.endings)
        self.spent_before = saved.place.wall_seconds, saved.place.cpu_seconds
        return saved.place, saved.part("best")

    def _save(self, place: Place, best: dict[str, Tensor], engine: Engine) -> None:
        wall, cpu = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        place.wall_seconds, place.cpu_seconds = self.spent_before[0] + wall, self.spent_before[1] + cpu
        self.checkpoint.save(place, self.model, best, engine.optimisers)

    def cost_with_earlier_parts(self, cost: Cost) -> dict[str, Any]:
        """The cost of the whole fit, the parts before an interruption included."""
        wall, cpu = self.spent_before
        spent = {"wall_seconds": cost.wall_seconds + wall, "cpu_seconds": cost.cpu_seconds + cpu}
        return {**spent, "peak_bytes": cost.peak_bytes}

    def _refuse_to_go_on(self, interruption: Interruption) -> None:
        if interruption.signal_number:
            how = "run the same command again to resume" if self.checkpoint.folder else "give a run folder to resume"
            raise Interrupted(f"training was interrupted; {how}.", interruption.signal_number)

    def _rng(self, stage: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, stage, epoch])

    def _noise_seed(self, stage: int) -> int:
        return self.options.seed * 1_000_003 + stage


def _ending(stopping: EarlyStopping, *, watched: bool) -> str:
    if not watched:
        return "budget"
    return "patience" if stopping.should_stop else "cap"


def _check_schema(model: Model, source: StoredSource) -> None:
    for field in Schema.model_fields:
        if getattr(model.schema, field) != getattr(source.schema, field):
            raise SchemaMismatch(
                f"the data must have the {field} that the model was built with; theirs differ. Build the model from "
                "data.schema, or open the data with open_data(..., schema=model.schema)."
            )


def _check_labels(model: Model, source: StoredSource, split: Split) -> None:
    """Refuse to train a classifier, or to stop it, by a loss that is zero because no cell has a label."""
    if "label" not in model.needs or not model.stages():
        return
    for part, rows in (("training", split.train), ("validation", split.validation)):
        if len(rows) and not (source.annotation.label[rows] >= 0).any():
            raise DataError(
                f"{type(model).__name__} must have {part} cells with a label; none of {len(rows)} has one. Give "
                "another split (or hold out none: validation=0), or another label_key."
            )
