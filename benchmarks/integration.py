"""Integration: which model takes the batches off and what it costs in cell types and in the order in time.

    python benchmarks/integration.py                                    # 3 seeds of everything; see the README
    python benchmarks/integration.py --data worm_embryo_time --seeds 1
    python benchmarks/integration.py --table                            # of what is finished, nothing is fitted
    CELLWRIGHT_DATA=FOLDER python benchmarks/integration.py             # where the catalogue looks first

It is `cellwright integrate`. What is finished is found again, so it can be stopped at any time; a study for each data
set is under `--folder`. The tables of docs/integration.md are made from the runs themselves: beside the metrics of the
study iLISI as the figures to compare with have it, the plain inverse Simpson index of the batches among the 60 nearest
cells, (median - 1) / (n_batches - 1).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.run import Run
from cellwright.study.integrate import PATIENT
from cellwright.study.statistics import interval
from cellwright.tasks.neighbours import nearest

MODELS = ("vae", "vae:beta=2", "mmd_vae", "semi_vae", "aae")
N_NEIGHBORS = 60
SHOWN = {
    "integration_total": "total",
    "bio_total": "bio",
    "batch_total": "batch",
    "ari": "k-means ARI",
    "leiden_ari": "Leiden ARI",
    "ilisi": "iLISI, k = 90",
    "ilisi_60": "plain iLISI, k = 60",
    "time_order": "order in time",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Cells:
    """A data set: its keys, how many genes are chosen, the cap on epochs, and which cells, and how many, are taken."""

    batch_key: str
    label_key: str
    time_key: str | None = None
    n_top_genes: int | None = None
    max_epochs: int = 150
    where: tuple[str, str] | None = None  # a column of obs and its value
    at_most: int | None = None  # cells, drawn at random


DATA = {
    "cellbench_mixology": Cells("batch", "cell_line", n_top_genes=2000, where=("demuxlet", "SNG")),
    "worm_embryo_time": Cells("batch", "cell_type", "embryo_time", n_top_genes=2000),
    "asap_cite_pbmc_protein": Cells("batch", "cluster", max_epochs=50, at_most=4000),
}


def run(name: str, cells: Cells, given: argparse.Namespace) -> None:
    """The study of one data set."""
    adata = ad.read_h5ad(find(name))
    if cells.where is not None:
        key, value = cells.where
        adata = adata[adata.obs[key] == value].copy()
    if cells.at_most is not None:
        rows = np.random.default_rng(0).choice(adata.n_obs, cells.at_most, replace=False)
        adata = adata[np.sort(rows)].copy()
    cw.integrate(
        adata,
        cw.IntegrateOptions(models=tuple(given.models.split(",")), seeds=given.seeds),
        out=given.folder / name,
        keys=OpenOptions(batch_key=cells.batch_key, label_key=cells.label_key, time_key=cells.time_key),
        fit_options=PATIENT.model_copy(update={"max_epochs": cells.max_epochs, "device": "cpu"}),
        preprocessing=PreprocessOptions(n_top_genes=cells.n_top_genes) if cells.n_top_genes else None,
        name=name,
        command="benchmarks/integration.py",
        watch=lambda outcome: Console(stderr=True).print(outcome.run.path.name, outcome.reason),
    )


def plain_ilisi(latent: np.ndarray, batches: np.ndarray) -> float:
    """(median inverse Simpson index of the batches among the nearest cells - 1) / (n_batches - 1)."""
    names, codes = np.unique(batches, return_inverse=True)
    around = codes[nearest(latent, N_NEIGHBORS, seed=0)[0]]
    shares = np.stack([(around == code).mean(axis=1) for code in range(len(names))], axis=1)
    return float((np.median(1 / (shares**2).sum(axis=1)) - 1) / (len(names) - 1))


def scores_of(folder: Path) -> pd.DataFrame:
    """The overall scores of every finished run of a study, a row per run and metric."""
    tables = []
    for path in sorted((folder / "runs").glob("*/cells.h5ad")):
        run = Run(path.parent)
        record, cells = run.record, ad.read_h5ad(path)
        latent = np.asarray(cells.obsm[f"X_{record.model}"])
        more = {"ilisi_60": plain_ilisi(latent, cells.obs[record.notes["batch_key"]].astype(str).to_numpy())}
        more["seconds"] = record.cpu_seconds
        scores = run.table("scores.csv")
        scores = scores[(scores["group"] == "") & scores["metric"].isin(SHOWN)][["metric", "value"]]
        scores = pd.concat([scores, pd.DataFrame({"metric": [*more], "value": [*more.values()]})])
        tables.append(scores.assign(model=record.model, setting=record.notes["setting"] or "", seed=record.seed))
    return pd.concat(tables, ignore_index=True)


def summary(name: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval over the seeds of each model and metric."""
    rows = []
    for (model, setting, metric), part in scores.groupby(["model", "setting", "metric"]):
        mean, sd, low, high = interval(part["value"].to_numpy(float))
        rows.append((name, model, setting, metric, mean, sd, low, high, len(part)))
    return pd.DataFrame(
        rows, columns=["data", "model", "setting", "metric", "mean", "sd", "ci_low", "ci_high", "n_seeds"]
    )


def markdown(table: pd.DataFrame) -> str:
    """A row per model, best total first."""
    metrics = [metric for metric in SHOWN if metric in set(table["metric"])]
    lines = [f"| | {' | '.join(SHOWN[metric] for metric in metrics)} | seeds |", "|---" * (len(metrics) + 2) + "|"]
    groups = {key: part.set_index("metric") for key, part in table.groupby(["model", "setting"])}
    for (model, setting), part in sorted(groups.items(), key=lambda item: -item[1].loc["integration_total", "mean"]):
        cells = [_cell(part.loc[metric], digits=0 if metric == "seconds" else 3) for metric in metrics]
        title = f"`{model}`" + (f" {setting}" if setting else "")
        lines.append(f"| {title} | {' | '.join(cells)} | {int(part['n_seeds'].max())} |")
    return "\n".join(lines)


def _cell(row: pd.Series, digits: int) -> str:
    text = f"{row['mean']:.{digits}f}".replace("0.", ".", 1) if abs(row["mean"]) < 1 else f"{row['mean']:.{digits}f}"
    half = (row["ci_high"] - row["ci_low"]) / 2
    return text if np.isnan(half) or not digits else f"{text} ± {half:.{digits}f}".replace("± 0.", "± .")


def main() -> None:
    """Run what is asked for and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(DATA), help="names, separated by commas")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="only the tables of what is finished")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "integration.csv")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/integration"))
    given = parser.parse_args()
    console, tables = Console(), []
    for name in given.data.split(","):
        if not given.table:
            run(name, DATA[name], given)
        tables.append(summary(name, scores_of(given.folder / name)))
        console.print(f"\n{name}\n\n{markdown(tables[-1])}", soft_wrap=True)
    write_csv(given.out, pd.concat(tables).to_dict("records"), machine())


if __name__ == "__main__":
    main()
