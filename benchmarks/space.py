"""Space: which model finds the domains of a tissue, beside PCA and beside averaging over neighbours.

    python benchmarks/space.py                                     # 3 seeds of everything; about 30 CPU-minutes
    python benchmarks/space.py --data mouse_olfactory_bulb         # the smallest: 2 CPU-minutes
    CELLWRIGHT_DATA=FOLDER python benchmarks/space.py              # where the catalogue looks first

It is `cellwright spatial`, a study for each data set under `--folder`: k-means into as many domains as there are
labels, all spots that have one scored, as clustered and as refined by their neighbours. What is finished is found
again. The rows of `results/space.csv` are those of docs/space.md, each data set in the place of its own.
"""

import argparse
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.study.spatial import SpatialStudyOptions, spatial_study
from cellwright.tasks.spatial import SpatialOptions


@dataclass(frozen=True)
class Tissue:
    """A data set: its labels and sections, what is compared beside the usual, how many genes are chosen."""

    label_key: str
    section_key: str | None = None
    more: tuple[str, ...] = ()
    n_top_genes: int | None = None
    n_permutations: int = 1000  # of the enrichment, which is in no table


DATA = {
    "mouse_olfactory_bulb": Tissue("layer"),
    # smoothing that was tuned with the labels in sight, as the hops of the network were; in 30 dimensions and in 15
    "dlpfc_151510": Tissue(
        "layer",
        more=(
            "pca_smoothed:n_neighbors=12:n_times=5",
            "pca_smoothed:n_neighbors=12:n_times=5:n_latent=15",
            "pca_smoothed:n_neighbors=16:n_times=5",
        ),
    ),
    "seqfish_mouse_embryo": Tissue("cell_type", more=("spatial_gae:bandwidth=0.5",)),
    "her2st_breast": Tissue(
        "region", "section", more=("spatial_gae:centre=all", "pca_centred"), n_top_genes=2000, n_permutations=200
    ),
}
COLUMNS = ["data", "model", "setting", "task", "metric", "mean", "sd", "ci_low", "ci_high", "n_seeds", "seconds"]
MEASURES = ("ari", "spatial_coherence")  # of the domains as clustered (`cluster`) and as refined (`refine`)


def board_of(name: str, tissue: Tissue, seeds: int, folder: Path, console: Console) -> pd.DataFrame:
    """The rows of one data set, over all spots that have a label."""
    board = spatial_study(
        find(name),
        SpatialStudyOptions(models=("spatial_gae", *tissue.more), seeds=seeds),
        out=folder / name,
        keys=OpenOptions(label_key=tissue.label_key, batch_key=tissue.section_key, coordinates_key="spatial"),
        spatial=SpatialOptions(n_permutations=tissue.n_permutations),
        fit_options=cw.FitOptions(device="cpu"),
        preprocessing=PreprocessOptions(n_top_genes=tissue.n_top_genes) if tissue.n_top_genes else None,
        name=name,
        command="benchmarks/space.py",
        watch=lambda outcome: console.print(f"{outcome.arm.model} {outcome.arm.setting} seed {outcome.seed}"),
    )
    for row in board[board["status"] == "failed"].itertuples():
        console.print(f"[red]{row.model}: {row.reason}")
    return board[board["metric"].isin(MEASURES) & (board["group"].fillna("") == "")][COLUMNS].fillna("")


def main() -> None:
    """Run what is asked for, print it, and write it beside what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(DATA), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/space"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "space.csv")
    given = parser.parse_args()
    console = Console(width=150)
    about = {**machine(), "cellwright": version("cellwright"), "torch": version("torch")}
    for name in given.data.split(","):
        rows = board_of(name, DATA[name], given.seeds, given.folder, console)
        console.print(rows.to_string(index=False))
        before = pd.read_csv(given.out, keep_default_na=False).to_dict("records") if given.out.exists() else []
        others = [{column: row[column] for column in COLUMNS} for row in before if row["data"] != name]
        write_csv(given.out, [*others, *rows.to_dict("records")], about)


if __name__ == "__main__":
    main()
