"""`cellwright fit MODEL DATA --out RUN`: train one model. Each model is a command with its own options."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells_of
from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures
from cellwright.cli.show import show
from cellwright.core.abilities import Classifies, Encodes
from cellwright.core.options import Options
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.keys import latent_key, predicted_key
from cellwright.models import MODELS, build_with, name_of
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.tasks.ask import annotated
from cellwright.tasks.classify import add_labels
from cellwright.tasks.reduce import reduce
from cellwright.train.devices import is_main_process
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run, record_of

# what a model can say of the cells that it was fitted on, for `cells.h5ad`
SAYS = (Encodes, Classifies)

app = App(name="fit", help="Train one model; `cellwright fit MODEL --help` shows its options.")


def command_for(name: str) -> Callable[..., None]:
    """The command that trains the model of that name."""

    def run(
        data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
        *,
        out: Annotated[Path, Parameter(help="the run folder; an unfinished run in it is resumed")],
        options: Options,
        keys: OpenOptions,
        training: FitOptions,
        preprocessing: PreprocessOptions | None,
    ) -> None:
        with logging_failures(out):
            cells = _cells(data, keys, training, preprocessing)
            model = _fitted(Run(out), name, options, cells, training)
            _write_cells(Run(out), model, cells, keys)
        show(_summary(Run(out), cells))

    run.__doc__ = f"Train `{name}`: {MODELS[name].summary}."
    flags = {
        "options": Flags(MODELS[name].options_type, defaults=MODELS[name].preset, group=f"Options of {name}"),
        "keys": Flags(OpenOptions, group="Data"),
        "training": Flags(FitOptions, group="Training"),
        "preprocessing": preprocessing_flags(),
    }
    return with_flags(run, **flags)


def _cells(data: str, keys: OpenOptions, training: FitOptions, preprocessing: PreprocessOptions | None) -> Prepared:
    split = SplitOptions(validation=training.validation, seed=training.seed)
    cells = prepare(data_named(data), keys, split, preprocessing)
    # a data set that the catalogue has read is known by its name there
    return replace(cells, source=replace(cells.source, origin=data)) if cells.source.origin == "memory" else cells


def _fitted(run: Run, name: str, options: Options, cells: Prepared, training: FitOptions) -> Model:
    model = build_with(name, cells.source.schema, options)
    if isinstance(model, SAYS) and _lacks_its_cells(run, model, cells, training):
        return load_run(run.path)
    fit(model, cells.source, training, split=cells.split, run=run.path, command=command_line())
    return model


def _lacks_its_cells(run: Run, model: Model, cells: Prepared, training: FitOptions) -> bool:
    """Whether this very fit was done before and ended, by a kill or a full disk, before its cells were written."""
    if not run.exists() or run.record.status != "done" or (run.path / "cells.h5ad").exists():
        return False
    asked = record_of(model, cells.source, training, command="")
    same = ("model", "options", "fit_options", "data")
    return all(getattr(asked, field) == getattr(run.record, field) for field in same)


def _write_cells(run: Run, model: Model, cells: Prepared, keys: OpenOptions) -> None:
    """Write `cells.h5ad` where the model encodes or classifies, and note where the values are.

    One process of several does it.
    """
    if not is_main_process():
        return
    run.note("open", dict(keys))
    run.note("preprocessing", cells.report)
    if isinstance(model, SAYS):
        adata = annotated(model, cells.source, cells.split)
        if isinstance(model, Encodes):
            key = latent_key(name_of(model))
            adata.obsm[key] = reduce(model, cells.source).obsm[key]
        if isinstance(model, Classifies):
            key = predicted_key(adata.obs.columns)
            run.note("predicted_key", key)
            add_labels(adata, model, cells.source, key_added=key)
        write_cells_of(run, adata)
    run.finish()


def _summary(run: Run, cells: Prepared) -> str:
    record = run.record
    best = record.notes.get("best_epoch")
    epochs = "" if best is None else f", {record.n_epochs} epochs, best {best} (counted from 0)"
    features = " + ".join(f"{len(names):,}" for names in cells.source.schema.features.values())
    size = f"{cells.source.n_obs:,} cells x {features} features"
    return f"{record.model}: {size} in {record.wall_seconds:.1f} s{epochs} -> {run.path}"


for _name in MODELS:
    app.command(command_for(_name), name=_name)
