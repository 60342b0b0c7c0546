"""`cellwright score RUN --label-key K`: metrics of a run, overall and per label."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import cells_of
from cellwright.cli.inputs import logging_failures
from cellwright.cli.show import show, table_of
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
    cluster_key: Annotated[str | None, Parameter(help="column of obs with the clusters; None is the run's")] = None,
    metrics: Annotated[
        str, Parameter(help="names from `cellwright list metrics`, separated by commas")
    ] = "ari,nmi,balanced_ari,label_f1,silhouette",
) -> None:
    """Add the scores to `scores.csv` of the run and print the overall ones."""
    folder = Run(run)
    with logging_failures(run):
        adata, record = cells_of(folder), folder.record
        if cluster_key is None and (cluster_key := record.notes.get("cluster_key", "cluster")) not in adata.obs:
            raise RunError(f"{run} must have clusters to score; it has none. Make them: cellwright cluster {run}")
        table = score(
            adata,
            [name.strip() for name in metrics.split(",")],
            use_rep=latent_key(record.model),
            label_key=label_key,
            cluster_key=cluster_key,
            seed=record.seed,
        )
        folder.add_scores(table)
    overall = table[table["group"] == ""]
    rows = [(row.metric, f"{row.value:.4f}", row.better) for row in overall.itertuples()]
    show(table_of(["metric", "value", "better"], rows, right=["value"]))
