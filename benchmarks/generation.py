"""Generation: how close new cells are to real ones that no model saw, overall and within each label.

    python benchmarks/generation.py                              # 3 seeds of every model that generates; see the README
    python benchmarks/generation.py --quick                      # one seed, two epochs: does it run?
    python benchmarks/generation.py --models diffusion:guidance=2 --seeds 5
    CELLWRIGHT_DATA=FOLDER python benchmarks/generation.py       # where the catalogue looks first

It is `cellwright compare` with a fifth of the cells held out: every model and the baselines, the same splits, in one
process. What is finished is found again, so it can be stopped at any time; the study is under `--folder`, its page is
made by `cellwright report`. The rows of the task `generate` are printed and written to `results/generation.csv`.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console
from rich.table import Table

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions
from cellwright.metrics import METRICS

COLUMNS = ["model", "setting", "metric", "better", "group", "mean", "sd", "ci_low", "ci_high", "n_seeds", "seconds"]


def generators() -> tuple[str, ...]:
    """Every model that generates; the baselines among them are added by the comparison."""
    return tuple(
        name for name, entry in cw.MODELS.items() if "generates" in entry.abilities and not entry.model.is_baseline
    )


def of_generation(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard about generated cells, overall first."""
    rows = board[board["task"] == "generate"][COLUMNS]
    return rows.sort_values(["metric", "group", "mean"], kind="stable", key=_place).reset_index(drop=True)


def _place(column: pd.Series) -> pd.Series:
    """Metrics in the order of their table."""
    return column.map({name: place for place, name in enumerate(METRICS)}) if column.name == "metric" else column


def shown(rows: pd.DataFrame, title: str) -> Table:
    """Models by metrics: of all cells, and in brackets the mean over labels of what is found within each."""
    named = rows.assign(name=(rows["model"] + " " + rows["setting"]).str.strip())
    metrics = list(dict.fromkeys(named["metric"]))
    table = Table("model", *metrics, title=title)
    for name, mine in named.groupby("name", sort=False):
        overall = mine[mine["group"] == ""].set_index("metric")["mean"]
        within = mine[mine["group"] != ""].groupby("metric")["mean"].mean()
        table.add_row(str(name), *(f"{overall[metric]:.4f} ({within[metric]:.4f})" for metric in metrics))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="pbmc4k_10x", help="a name of the catalogue, or a file")
    parser.add_argument("--label-key", default="cluster")
    parser.add_argument("--models", default=",".join(generators()), help="as in `cellwright compare`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/generation"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "generation.csv")
    given = parser.parse_args()
    console = Console()
    fit_options = cw.FitOptions(max_epochs=2) if given.quick else cw.FitOptions()
    board = cw.compare(
        given.data if Path(given.data).exists() else find(given.data),
        cw.CompareOptions(models=tuple(given.models.split(",")), seeds=1 if given.quick else given.seeds, test=0.2),
        out=given.folder.with_name(given.folder.name + "-quick") if given.quick else given.folder,
        keys=OpenOptions(label_key=given.label_key),
        fit_options=fit_options,
        name=Path(given.data).stem,
        command="benchmarks/generation.py",
        watch=lambda outcome: console.print(
            f"{outcome.arm.model} seed {outcome.seed}: {outcome.reason or f'{outcome.seconds:.0f} s'}"
        ),
    )
    rows = of_generation(board)
    console.print(shown(rows, f"{given.data}, held-out cells; 0 is best, of c2st .5; in brackets within labels"))
    if not given.quick:
        about = {"data": given.data, **machine(), "cellwright": version("cellwright"), "torch": version("torch")}
        write_csv(given.out, rows.to_dict("records"), about)


if __name__ == "__main__":
    main()
