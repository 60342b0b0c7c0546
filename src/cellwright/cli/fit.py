"""`cellwright fit MODEL DATA --out RUN`: train one model. Each model is a command with its own options."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import data_named, logging_failures
from cellwright.cli.show import console
from cellwright.core.abilities import Encodes
from cellwright.core.options import Options
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.models import MODELS
from cellwright.run import Run
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

app = App(name="fit", help="Train one model; `cellwright fit MODEL --help` shows its options.")


def command_for(name: str) -> Callable[..., Any]:
    """The command that trains the model of that name."""

    def run(
        data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
        *,
        out: Annotated[Path, Parameter(help="the run folder; an unfinished run in it is resumed")],
        options: Options,
        keys: OpenOptions,
        training: FitOptions,
    ) -> None:
        with logging_failures(out):
            cells = prepare(data_named(data), keys, SplitOptions(validation=training.validation, seed=training.seed))
            _fit_into(out, name, cells, options, training)

    run.__doc__ = f"Train `{name}`: {MODELS[name].summary}."
    flags = {
        "options": Flags(MODELS[name].options_type, defaults=MODELS[name].preset, group=f"Options of {name}"),
        "keys": Flags(OpenOptions, group="Data"),
        "training": Flags(FitOptions, group="Training"),
    }
    return with_flags(run, **flags)


def _fit_into(out: Path, name: str, cells: Prepared, options: Options, training: FitOptions) -> None:
    model = MODELS[name].model(cells.source.schema, options)
    history = fit(model, cells.source, training, split=cells.split, run=out, command=f"fit {name}")
    run = Run(out)
    if isinstance(model, Encodes):
        adata = reduce(model, cells.source)
        adata.obs["split"] = cells.split.names()
        with run.writing("cells.h5ad") as path:
            adata.write_h5ad(path)
    record = run.record
    best = "" if history.best_epoch is None else f", best epoch {history.best_epoch + 1} of {history.n_epochs}"
    console.print(
        f"{name}: {cells.source.n_obs:,} cells x {cells.source.schema.n_vars:,} features in "
        f"{record.wall_seconds:.1f} s{best} -> {out}"
    )


for _name in MODELS:
    app.command(command_for(_name), name=_name)
