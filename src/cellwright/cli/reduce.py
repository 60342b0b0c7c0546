"""`cellwright reduce RUN --data NEW --out FILE`: a saved run on new cells."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.inputs import data_named
from cellwright.cli.show import console
from cellwright.data.open import open_data
from cellwright.keys import latent_key
from cellwright.run import Run, replacing
from cellwright.tasks.ask import cells_for
from cellwright.tasks.embed import embed
from cellwright.tasks.reduce import reduce
from cellwright.train.saved import load_run

app = App(name="reduce", help="Place new cells in the latent space of a saved run.")


@app.default
def run(
    run: Annotated[Path, Parameter(help="a run folder")],
    *,
    data: Annotated[str, Parameter(help="the new cells; features are matched by name")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: obs and latents, without values")],
    layer: Annotated[str | None, Parameter(help="key in layers that holds the values; None is X")] = None,
    umap: Annotated[bool, Parameter(help="add a UMAP, for looking")] = False,
) -> None:
    """Write `obsm["X_<model>"]` for the cells of `data`."""
    model = load_run(run)
    source = cells_for(model, open_data(data_named(data), layer=layer, schema=model.schema), "reduce")
    adata = reduce(model, source)
    if umap:
        embed(adata, use_rep=latent_key(Run(run).record.model))
    with replacing(out) as path:
        adata.write_h5ad(path)
    filled = f", {len(source.filled_features)} features missing and taken as zero" if source.filled_features else ""
    console.print(f"{adata.n_obs:,} cells{filled} -> {out}")
