"""Saved runs: what a fit writes into its folder, and how a model comes back from it.

begin_run -> (training) -> finish_run: model.safetensors, schema.json, history.csv, split.csv;  load_run -> Model
"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from cellwright.core.schema import Schema
from cellwright.data.fingerprint import fingerprint
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.errors import RunError
from cellwright.kernels.compiled import backend
from cellwright.models import MODELS, build_with, name_of
from cellwright.models.model import Model
from cellwright.run import Run, RunRecord
from cellwright.train.history import History
from cellwright.train.options import FitOptions

VERSIONS_OF = (
    "cellwright",
    "torch",
    "lightning-fabric",
    "numpy",
    "scipy",
    "anndata",
    "scanpy",
    "scikit-learn",
    "imbalanced-learn",
    "numba",
)


def begin_run(
    run: Run, model: Model, source: StoredSource, split: Split, options: FitOptions, command: str = ""
) -> None:
    """Start the folder of a fit, or find an unfinished run of the same model, options and data in it to resume.

    Raises `RunError` where the folder holds a finished run, an unfinished one of something else, or other files.
    """
    record = record_of(model, source, options, command)
    if run.exists() and run.record.status != "done":
        _refuse_another(run, record, split, source)
    Run.start(run.path, record)
    with run.writing("split.csv") as file:
        split.write(file, source.annotation.obs.index)
    run.write_text("schema.json", model.schema.model_dump_json())
    run.log(f"fit of {record.model} starts on {record.data['name']}, {len(split.train)} training cells")


def finish_run(run: Run, model: Model, history: History, cost: dict[str, Any]) -> None:
    """Write weights and history, and mark the run as done."""
    run.write_table("history.csv", history.table)
    _write_weights(run, model)
    run.log(f"done after {history.n_epochs} epochs, {cost['wall_seconds']:.1f} s")
    notes = {**run.record.notes, "best_epoch": history.best_epoch, "endings": history.endings}
    run.finish(n_epochs=history.n_epochs, notes=notes, **cost)


def save_run(model: Model, source: StoredSource, path: Path | str, options: FitOptions = FitOptions()) -> Run:  # noqa: B008
    """Write a fitted model that lives in memory as a finished run folder, which `load_run` reads."""
    run = Run.start(path, record_of(model, source, options, "save_run"))
    run.write_text("schema.json", model.schema.model_dump_json())
    _write_weights(run, model)
    run.finish()
    return run


def load_run(path: Path | str) -> Model:
    """The fitted model of a run folder, in evaluation mode.

    Raises `RunError` where the folder holds no finished run or its weights do not fit.
    """
    run = Run(path)
    record = run.record
    if record.model not in MODELS:
        raise RunError(
            f"{run.path} holds the model {record.model!r}, which this version does not have; see `list models`."
        )
    entry = MODELS[record.model]
    try:
        schema = Schema.model_validate_json((run.path / "schema.json").read_text())
        model = build_with(record.model, schema, entry.options_type(**record.options))
        model.load_state_dict(load_file(run.path / "model.safetensors"))
    except (FileNotFoundError, SafetensorError, RuntimeError, ValueError) as error:
        why = f"status {record.status}" if record.status != "done" else str(error).splitlines()[0]
        raise RunError(
            f"{run.path} must hold a finished fit; its weights cannot be loaded ({why}). Fit again."
        ) from None
    model.fitted = True
    return model.eval()


def record_of(model: Model, source: StoredSource, options: FitOptions, command: str) -> RunRecord:
    """What `run.json` says of a fit at its start."""
    return RunRecord(
        command=command,
        model=name_of(model),
        options=model.options.model_dump(mode="json"),
        fit_options=options.model_dump(mode="json"),
        seed=options.seed,
        data=fingerprint(source),
        versions={"python": platform.python_version(), **_versions()},
        device=f"{options.device} ({platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads)",
        kernels=backend(),
        citations=[*model.citations, *options.balance.citations],
        notes={"changed_options": model.options.model_dump(mode="json", exclude_defaults=True)},
    )


def _refuse_another(run: Run, record: RunRecord, split: Split, source: StoredSource) -> None:
    """Refuse to resume what is not the same fit; a run that left no checkpoint leaves nothing to resume."""
    if not (run.path / "checkpoint").is_dir():
        return
    ours, theirs = _identity(record), _identity(run.record)
    differing = [field for field, value in ours.items() if value != theirs[field]]
    if not np.array_equal(Split.read(run.path / "split.csv", source.annotation.obs.index).names(), split.names()):
        differing.append("split")
    if differing:
        raise RunError(
            f"{run.path} holds an unfinished run with other {differing[0].replace('_', ' ')}; give another folder, "
            "or remove it."
        )


def _identity(record: RunRecord) -> dict[str, Any]:
    fit_options = {name: value for name, value in record.fit_options.items() if name != "checkpoint_seconds"}
    same = {"model": record.model, "options": record.options, "fit_options": fit_options, "data": record.data}
    return {**same, "kernels": record.kernels}  # either draws other masks of dropout


def _write_weights(run: Run, model: Model) -> None:
    with run.writing("model.safetensors") as path:
        # written here and not by safetensors, whose error for a full disk is not an OSError
        path.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}))


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
