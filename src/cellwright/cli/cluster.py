"""`cellwright cluster RUN`: cluster the cells of a run; with the values at hand, markers and composition too."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from anndata import AnnData
from cyclopts import App, Parameter

from cellwright.cli.cells import cells_of, write_cells_of
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import data_named, logging_failures
from cellwright.cli.show import show, table_of
from cellwright.core.schema import Schema
from cellwright.data.open import open_data
from cellwright.data.prepare import as_anndata
from cellwright.errors import SchemaMismatch
from cellwright.keys import cluster_key, latent_key
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
    layer: Annotated[
        str | None, Parameter(help="key in layers of --data that holds the values; None is the fit's")
    ] = None,
) -> None:
    """Add clusters, a UMAP, the composition and, with `--data`, marker genes to `cells.h5ad` of the run.

    The clusters are in `obs["cluster"]`, or in `obs["cellwright_cluster"]` where the cells have a column of that name.
    """
    folder = Run(run)
    with logging_failures(run):
        adata = cells_of(folder)
        schema = Schema.model_validate_json((run / "schema.json").read_text())
        if layer is None:
            layer = folder.record.notes.get("open", {}).get("layer")
        values = None if data is None else _values(data, layer, schema, adata)
        use_rep = latent_key(folder.record.model)
        key = "cluster" if "cluster" in adata.uns else cluster_key(adata.obs.columns)
        cluster(adata, options, use_rep=use_rep, key_added=key)
        folder.note("cluster_key", key)
        embed(adata, use_rep=use_rep)
        by = [field.key for field in (schema.label, schema.batch) if field]
        if by:
            adata.uns["composition"] = pd.concat([composition(adata.obs, key, column) for column in by])
        if values is not None:
            adata.uns["markers"] = markers(values, adata.obs[key])
        write_cells_of(folder, adata)
    sizes = adata.obs[key].value_counts()
    show(table_of(["cluster", "cells"], [(name, f"{n:,}") for name, n in sizes.items()], right=["cells"]))


def _values(data: str, layer: str | None, schema: Schema, cells: AnnData) -> AnnData:
    """The values of the run's cells, in their order."""
    values = as_anndata(open_data(data_named(data), layer=layer, schema=schema))
    missing = cells.obs_names.difference(values.obs_names)
    if len(missing):
        raise SchemaMismatch(
            f"--data must hold the {cells.n_obs:,} cells of the run; {len(missing):,} are not in it (first: "
            f"{missing[0]!r}). Give the data that the run was fitted on."
        )
    return values[cells.obs_names]


app.default(with_flags(run, options=Flags(ClusterOptions, group="Clustering")))
