"""`cellwright reduce RUN --data NEW --out FILE`: a saved run on new cells."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import filled_features, logging_failures, new_cells_for
from cellwright.cli.show import show
from cellwright.data.check import check_values
from cellwright.data.prepare import OpenOptions
from cellwright.keys import latent_key
from cellwright.run import Run
from cellwright.tasks.embed import embed
from cellwright.tasks.reduce import reduce
from cellwright.train.saved import load_run

app = App(name="reduce", help="Place new cells in the latent space of a saved run.")


def run(
    run: Annotated[Path, Parameter(help="a run folder")],
    *,
    data: Annotated[str, Parameter(help="new cells, features matched by name; missing ones are zero or unmeasured")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: obs and latents, without values")],
    umap: Annotated[bool, Parameter(help="add a UMAP, for looking")] = False,
    keys: OpenOptions,
) -> None:
    """Write `obsm["X_<model>"]` for the cells of `data`; keys and layer that are not given are the run's."""
    name = Run(run).record.model
    with logging_failures(run):
        model = load_run(run)
        source = new_cells_for(Run(run), model, data, out, keys)
        check_values(source, model.support, wanted_by=name)
        adata = reduce(model, source)
        if umap:
            embed(adata, use_rep=latent_key(name))
        write_cells(adata, out)
    show(f"{name}: {adata.n_obs:,} cells{filled_features(source)} -> {out}")


app.default(with_flags(run, keys=Flags(OpenOptions, group="Data")))
