"""Imputation: which way gives hidden molecules back, and what harm it does, on six data sets.

    python benchmarks/imputation.py                              # 3 seeds of everything; see the README
    python benchmarks/imputation.py --data pbmc4k_10x --seeds 1
    CELLWRIGHT_DATA=FOLDER python benchmarks/imputation.py       # where the catalogue looks first

It is `cellwright recover` with every network that imputes and all baselines. What is finished is found again, so it can
be stopped at any time; a study for each data set is under `--folder`, its page is made by `cellwright report`. The
overall rows of the leaderboards are printed as the tables of docs/imputation.md and written to
`results/imputation.csv`, with those of every label.
"""

import argparse
import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions
from cellwright.tasks.exams import EXAMS

MODELS = (
    "vae", "vae:likelihood=zinb", "gae", "ae:likelihood=negative_binomial", "dae:likelihood=negative_binomial", "ae",
    "diffusion",
)  # fmt: skip
COLUMNS = [
    "exams",
    "data",
    "model",
    "setting",
    "task",
    "metric",
    "group",
    "mean",
    "sd",
    "ci_low",
    "ci_high",
    "n_seeds",
    "seconds",
]
DEVIANCE = "poisson_deviance"
# of the second table: title, metric
HARM = {
    "squared error of logarithms": "log_mse",
    "hidden entries, error": "entry_rmse",
    "within a cell": "entry_pearson_cell",
    "within a gene": "entry_pearson_gene",
    "false correlation": "false_correlation",
    "of draws": "false_correlation_drawn",
    "false markers": "false_markers",
    "of their draws": "false_markers_drawn",
    "zeros kept": "zeros_kept",
    "ARI": "ari",
    "balanced ARI": "balanced_ari",
}


@dataclass(frozen=True)
class Cells:
    """A data set, what its labels are called, how many genes are chosen, and its proteins."""

    label_key: str | None
    n_top_genes: int | None = None
    proteins: str | None = None
    exams: tuple[str, ...] = ()  # none: all


DATA = {
    "pbmc4k_10x": Cells("cluster"),
    "paul15_myeloid": Cells("cell_type", 2000),
    "mouse_bladder": Cells("cell_type"),
    "cellbench_mixology": Cells("cell_line", 2000),
    "eccite_pbmc_rna": Cells(None, 2000, "eccite_pbmc_protein", ("molecules", "protein")),
    "pbmc_mosaic_rna": Cells("cell_type", None, "pbmc_mosaic_protein", ("molecules", "protein")),
}


def run(name: str, cells: Cells, given: argparse.Namespace, console: Console) -> pd.DataFrame:
    """The leaderboard of one data set."""
    options = cw.RecoverOptions(models=tuple(given.models.split(",")), seeds=given.seeds, workers=given.workers)
    if cells.exams:
        options = options.model_copy(update={"exams": cells.exams})
    found = cw.recover(
        find(name),
        options,
        out=given.folder / name,
        keys=OpenOptions(label_key=cells.label_key),
        preprocessing=None if cells.n_top_genes is None else cw.PreprocessOptions(n_top_genes=cells.n_top_genes),
        proteins=None if cells.proteins is None else find(cells.proteins),
        name=name,
        command="benchmarks/imputation.py",
        watch=lambda outcome: console.print(
            f"{name} {outcome.arm.model} {outcome.arm.setting} seed {outcome.seed}: "
            f"{outcome.reason or f'{outcome.seconds:.0f} s'}"
        ),
    )
    asked = [exam for exam in options.exams if cells.proteins or not EXAMS[exam].needs]
    return found.leaderboard.assign(exams=", ".join(asked))


def shown(value: pd.Series) -> str:
    """Mean and half of the interval."""
    half = (value["ci_high"] - value["ci_low"]) / 2
    return _short(value["mean"]) + ("" if math.isnan(half) else f" ± {_short(half)}")


def _short(number: float) -> str:
    return f"{number:.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.3f}"


def markdown(rows: pd.DataFrame, columns: dict[str, tuple[str, str]]) -> str:
    """Models by columns (title: data, metric), the least deviance first."""
    overall = rows[rows["group"].fillna("") == ""]
    names = zip(overall["model"], overall["setting"].fillna(""), strict=True)
    named = overall.assign(name=[_named(model, setting) for model, setting in names])
    order = named[named["metric"] == DEVIANCE].groupby("name")["mean"].mean().sort_values().index
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in order:
        mine = named[named["name"] == name].set_index(["data", "metric"])
        cells = [shown(mine.loc[key]) if key in mine.index else "" for key in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _named(model: str, setting: str) -> str:
    role = " (baseline)" if cw.MODELS[model].model.is_baseline else ""
    return f"`{model}{':' if setting else ''}{setting}`{role}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(DATA), help=f"of {', '.join(DATA)}")
    parser.add_argument("--models", default=",".join(MODELS), help="as in `cellwright recover`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/imputation"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "imputation.csv")
    given = parser.parse_args()
    console = Console(width=200)
    names = given.data.split(",")
    board = pd.concat([run(name, DATA[name], given, console) for name in names], ignore_index=True)
    rows = board[board["status"] == "done"][COLUMNS]
    print(markdown(rows, {name: (name, DEVIANCE) for name in names}))
    for name in names:
        proteins = {"protein": "protein_spearman"} if DATA[name].proteins else {}
        measures = {"deviance": DEVIANCE, **proteins, **(HARM if not DATA[name].exams else {})}
        columns = {title: (name, metric) for title, metric in measures.items()}
        print(f"\n{name}\n\n{markdown(rows[rows['data'] == name], columns)}")
    about = {**machine(), "cellwright": version("cellwright"), "torch": version("torch")}
    write_csv(given.out, rows.to_dict("records"), about)


if __name__ == "__main__":
    main()
