"""`cellwright impute DATA --out FILE`: fill in what the measurement missed, with a new model or a saved run."""

from pathlib import Path
from typing import Annotated

import numpy as np
from anndata import AnnData
from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import data_named, filled_features, logging_failures, new_cells_for
from cellwright.cli.progress import cells_bar
from cellwright.cli.show import show
from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.errors import AbilityError, DataFileError, OptionError, RunError
from cellwright.models import MODELS, build_with
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.study.arm import Arm
from cellwright.tasks.impute import ImputeOptions, impute, impute_to
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

USUAL_MODEL = "diffusion"  # the least deviance of hidden molecules on four of four data sets (docs/imputation.md)

app = App(name="impute", help="Fill in what the measurement missed: a new layer beside the measured values.")


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the .h5ad to write, or a .zarr, which is written block by block")],
    model: Annotated[
        str | None, Parameter(help=f"what is fitted to these cells: name, or name:option=value:...; {USUAL_MODEL}")
    ] = None,
    from_run: Annotated[
        Path | None, Parameter(name="--run", help="a run folder: its model is used, nothing is fitted")
    ] = None,
    options: ImputeOptions,
    keys: OpenOptions,
    training: FitOptions,
) -> None:
    """Write X as measured, `layers["imputed"]`, with draws `layers["imputed_sd"]`, and `uns["cellwright"]`."""
    _refuse_both(model, from_run)
    if out.suffix not in (".h5ad", ".zarr"):
        raise OptionError(f"--out must end with .h5ad or .zarr; it is {str(out)!r}. Name a file or a store.")
    cells = data_named(data)
    _refuse_place(out, cells)
    with logging_failures(from_run or out):
        if from_run is not None:
            fitted = load_run(from_run)
            source = new_cells_for(Run(from_run), fitted, data, out, keys)
        else:
            source = open_data(cells, **dict(keys))
            fitted = _fitted(_asked(model or USUAL_MODEL, options), source, training)
        _write(fitted, source, options, out, training.seed)
    show(
        f"{fitted.name}: {source.n_obs:,} cells x {fitted.schema.n_vars:,} features{filled_features(source)} -> {out}",
        "whether this helps on your cells, and what harm it does: cellwright recover",
    )


def _refuse_both(model: str | None, from_run: Path | None) -> None:
    if model is not None and from_run is not None:
        raise OptionError("--model and --run must not both be given; both were. Give a model to fit, or a saved run.")


def _refuse_place(out: Path, cells: AnnData | Path) -> None:
    """What would replace the cells, or be refused after an hour of training."""
    if isinstance(cells, Path) and out.exists() and out.samefile(cells):
        raise RunError(f"--out must be another file than the cells, which stay as they are; both are {out}.")
    if out.suffix == ".zarr" and out.exists():
        raise DataFileError(f"the folder to write must not be there; {out} is. Remove it, or give another path.")
    if not out.parent.is_dir():
        raise RunError(f"{out} could not be written: its folder is not there. Make the folder first.")


def _asked(text: str, options: ImputeOptions) -> Arm:
    """The model to fit. Raises `AbilityError` where it cannot do what is asked, before it is fitted."""
    arm = Arm.parse(text)
    wanted = ["imputes", *(["draws"] if options.n_draws or options.fill == "draw" else [])]
    for ability, what in zip(wanted, ("impute", "draw"), strict=False):
        if ability not in arm.entry.abilities:
            able = ", ".join(name for name, entry in MODELS.items() if set(wanted) <= set(entry.abilities))
            raise AbilityError(f"{arm.model} cannot {what}: it lacks the ability {ability!r}. {able} can.")
    return arm


def _fitted(arm: Arm, source: StoredSource, training: FitOptions) -> Model:
    """A model that is fitted to all cells; networks stop by some of them, which are imputed like the others."""
    model = build_with(arm.model, source.schema, arm.options())
    nothing = np.array([], dtype=np.int64)
    everything = Split(np.arange(source.n_obs), nothing, nothing)
    fit(model, source, training, split=None if model.stages() else everything)
    return model


def _write(model: Model, source: StoredSource, options: ImputeOptions, out: Path, seed: int) -> None:
    if out.suffix == ".h5ad":
        write_cells(impute(model, source, options, seed=seed), out)
        return
    with cells_bar("imputing", source.n_obs) as done:
        impute_to(model, source, out, options, seed=seed, progress=done)


app.default(
    with_flags(
        run,
        options=Flags(ImputeOptions, group="Imputation"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"balance"}, group="Training of a new model"),
    )
)
