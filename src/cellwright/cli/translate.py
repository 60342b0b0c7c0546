"""`cellwright translate RUN --to protein --out FILE`: a modality that was not measured, from those that were."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import filled_features, logging_failures, new_cells_for
from cellwright.cli.show import show
from cellwright.data.prepare import OpenOptions
from cellwright.run import Run
from cellwright.tasks.translate import translate
from cellwright.train.saved import load_run

app = App(name="translate", help="What a modality that was not measured would be, with a saved run.")


def run(
    run: Annotated[Path, Parameter(help="a run folder of a model of several modalities")],
    *,
    data: Annotated[str, Parameter(help="the cells: an .h5mu, or one file per modality, rna=a.h5ad,protein=b.h5ad")],
    to: Annotated[str, Parameter(help="the modality that is wanted")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: the wanted modality of every cell")],
    draw: Annotated[bool, Parameter(help="a measurement as it could be, with its noise, not what is expected")] = False,
    seed: Annotated[int, Parameter(help="of all that is drawn")] = 0,
    keys: OpenOptions,
) -> None:
    """Write `X`, `obs["translated_from"]` and `uns["cellwright"]`; keys and layer not given are the run's."""
    name = Run(run).record.model
    with logging_failures(run):
        model = load_run(run)
        source = new_cells_for(Run(run), model, data, out, keys)
        cells = translate(model, source, to, draw=draw, seed=seed)
        write_cells(cells, out)
    by_origin = cells.obs["translated_from"].value_counts()
    said = ", ".join(f"{n:,} from {origin}" for origin, n in by_origin.items() if n)
    show(
        f"{name}: {to} of {cells.n_obs:,} cells x {cells.n_vars:,} features ({said}){filled_features(source)} -> {out}"
    )


app.default(with_flags(run, keys=Flags(OpenOptions, group="Data")))
