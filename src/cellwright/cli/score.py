"""`cellwright score RUN --label-key K`: metrics of a run, overall and per label."""

from pathlib import Path
from typing import Annotated

from anndata import read_h5ad
from cyclopts import App, Parameter

from cellwright.cli.show import console, table_of
from cellwright.errors import RunError
from cellwright.keys import latent_key
from cellwright.run import Run
from cellwright.tasks.score import score

app = App(name="score", help="Score the latent and the clusters of a run against labels.")


@app.default
def run(
    run: Annotated[Path, Parameter(help="a run folder with cells.h5ad")],
    *,
    label_key: Annotated[str, Parameter(help="column of obs with the labels")],
    cluster_key: Annotated[str, Parameter(help="column of obs with the clusters")] = "cluster",
    metrics: Annotated[
        str, Parameter(help="names from `cellwright list metrics`")
    ] = "ari,nmi,balanced_ari,label_f1,silhouette",
) -> None:
    """Add the scores to `scores.csv` of the run and print the overall ones."""
    folder = Run(run)
    record = folder.record
    if not (run / "cells.h5ad").exists():
        raise RunError(f"{run} has no cells.h5ad to score; make clusters first: cellwright cluster {run}.")
    adata = read_h5ad(run / "cells.h5ad")
    names = [name.strip() for name in metrics.split(",")]
    keys = {"use_rep": latent_key(record.model), "label_key": label_key, "cluster_key": cluster_key}
    table = score(adata, names, seed=record.seed, **keys)  # type: ignore[arg-type]
    folder.add_scores(table)
    overall = table[table["group"] == ""]
    console.print(table_of(["metric", "value"], [(row.metric, f"{row.value:.4f}") for row in overall.itertuples()]))
