"""`cellwright cluster RUN`: cluster the cells of a run; with the values at hand, markers and composition too."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from anndata import read_h5ad
from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import data_named, logging_failures
from cellwright.cli.show import console, table_of
from cellwright.core.schema import Schema
from cellwright.data.open import open_data
from cellwright.data.prepare import as_anndata
from cellwright.errors import RunError
from cellwright.keys import latent_key
from cellwright.run import Run
from cellwright.tasks.cluster import ClusterOptions, cluster
from cellwright.tasks.composition import composition
from cellwright.tasks.embed import embed
from cellwright.tasks.markers import markers

app = App(name="cluster", help="Cluster the cells of a run.")


def run(
    run: Annotated[Path, Parameter(help="a run folder")],
    *,
    options: ClusterOptions,
    data: Annotated[str | None, Parameter(help="the cells' values, for marker genes; None leaves markers out")] = None,
    layer: Annotated[str | None, Parameter(help="key in layers of --data that holds the values; None is X")] = None,
) -> None:
    """Add `obs["cluster"]`, a UMAP, the composition and, with `--data`, marker genes to `cells.h5ad` of the run."""
    folder = Run(run)
    with logging_failures(run):
        model = folder.record.model
        if not (run / "cells.h5ad").exists():
            raise RunError(f"{run} has no cells.h5ad to cluster; the model {model!r} must encode, and the fit be done.")
        adata = read_h5ad(run / "cells.h5ad")
        schema = Schema.model_validate_json((run / "schema.json").read_text())
        cluster(adata, options, use_rep=latent_key(model))
        embed(adata, use_rep=latent_key(model))
        by = [field.key for field in (schema.label, schema.batch) if field and field.key in adata.obs]
        if by:
            adata.uns["composition"] = pd.concat([composition(adata.obs, "cluster", key) for key in by])
        if data is not None:
            values = as_anndata(open_data(data_named(data), layer=layer, schema=schema))
            adata.uns["markers"] = markers(values[adata.obs_names], adata.obs["cluster"])
        with folder.writing("cells.h5ad") as path:
            adata.write_h5ad(path)
    sizes = adata.obs["cluster"].value_counts()
    console.print(table_of(["cluster", "cells"], list(sizes.items())))


app.default(with_flags(run, options=Flags(ClusterOptions, group="Clustering")))
