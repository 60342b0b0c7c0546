"""Architectures: every model that encodes cells beside PCA, on three data sets: what each is worth, and what it costs.

    python benchmarks/architectures.py                           # 3 seeds on 3 data sets; about two hours on two cores
    python benchmarks/architectures.py --quick                   # one seed, two epochs: does it run?
    CELLWRIGHT_DATA=FOLDER python benchmarks/architectures.py    # where the catalogue looks first

It is `cellwright compare` with default options: the same splits, early stopping or the cap of a model. What is
finished is found again, so it can be stopped at any time; the studies are under `--folder`, their pages are made by
`cellwright report`. One table per data set is printed, in Markdown; all rows go to `results/architectures.csv`.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv

import cellwright as cw
from cellwright.data.prepare import OpenOptions

LABELS = {"mouse_bladder": "cell_type", "pbmc4k_10x": "cluster", "sln111_d2_rna": "cell_type"}
# heading, metric, whether on held-out cells
SHOWN = (
    ("k-means ARI", "ari", False),
    ("held-out cells", "ari", True),
    ("balanced ARI", "balanced_ari", False),
    ("NMI", "nmi", False),
    ("F1 of labels", "label_f1", False),
    ("best-Leiden ARI", "best_leiden_ari", False),
    ("R2, held-out cells", "r2", True),
)


def encoders() -> tuple[str, ...]:
    """Every network that encodes cells; PCA, scaled and not, is added by the comparison."""
    return tuple(
        name
        for name, entry in cw.MODELS.items()
        if "encodes" in entry.abilities and not entry.model.is_baseline and "steps" not in entry.model.needs
    )


def costs(folder: Path) -> pd.DataFrame:
    """Mean CPU-seconds and epochs of each model's fits, and how many of them the cap on epochs ended."""
    records = [cw.Run(path).record for path in sorted((folder / "runs").iterdir())]
    rows = [
        (r.model, r.cpu_seconds, r.n_epochs, "cap" in r.notes.get("endings", []), r.notes.get("setting", ""))
        for r in records
        if r.status == "done"
    ]
    table = pd.DataFrame(rows, columns=["model", "cpu_seconds", "epochs", "capped", "setting"])
    return table.groupby(["model", "setting"], as_index=False).agg(
        cpu_seconds=("cpu_seconds", "mean"), epochs=("epochs", "mean"), capped=("capped", "sum")
    )


def shown(board: pd.DataFrame, cost: pd.DataFrame) -> str:
    """The Markdown table of one data set, by k-means ARI."""
    overall = board[board["group"].fillna("") == ""]
    lines = [
        "| | " + " | ".join(heading for heading, _, _ in SHOWN) + " | CPU-seconds | epochs |",
        "|---" * (len(SHOWN) + 3) + "|",
    ]
    order = overall[(overall["metric"] == "ari") & ~overall["held_out"].astype(bool)].sort_values("mean")["model"]
    for model in order[::-1]:
        mine = overall[overall["model"] == model]
        paid = cost[cost["model"] == model].iloc[0]
        cells = [_cell(mine, metric, held_out) for _, metric, held_out in SHOWN]
        ended = f" (cap in {paid['capped']})" if paid["capped"] else ""
        name = f"`{model}` (baseline)" if mine["is_baseline"].astype(bool).all() else f"`{model}`"
        lines.append(f"| {name} | {' | '.join(cells)} | {paid['cpu_seconds']:.0f} | {paid['epochs']:.0f}{ended} |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame, metric: str, held_out: bool) -> str:  # noqa: FBT001
    found = rows[(rows["metric"] == metric) & (rows["held_out"].astype(bool) == held_out)]
    if not len(found):
        return ""
    half = (found["ci_high"] - found["ci_low"]).iloc[0] / 2
    return f"{found['mean'].iloc[0]:.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(LABELS), help="names of the catalogue, of these")
    parser.add_argument("--models", default=",".join(encoders()), help="as in `cellwright compare`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/architectures"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "architectures.csv")
    given = parser.parse_args()
    folder = given.folder.with_name(given.folder.name + "-quick") if given.quick else given.folder
    boards = []
    for name in given.data.split(","):
        board = cw.compare(
            cw.load(name),
            cw.CompareOptions(models=tuple(given.models.split(",")), seeds=1 if given.quick else given.seeds),
            out=folder / name,
            keys=OpenOptions(label_key=LABELS[name]),
            fit_options=cw.FitOptions(max_epochs=2) if given.quick else cw.FitOptions(),
            name=name,
            command="benchmarks/architectures.py",
            watch=lambda outcome: print(
                f"{outcome.arm.model} seed {outcome.seed}: {outcome.reason or f'{outcome.seconds:.0f} s'}", flush=True
            ),
        )
        cost = costs(folder / name)
        print(f"\n{name}\n\n{shown(board, cost)}\n")
        boards.append(board.merge(cost, on=["model", "setting"], how="left"))
    if not given.quick:
        about = {**machine(), "cellwright": version("cellwright"), "torch": version("torch")}
        write_csv(given.out, pd.concat(boards).to_dict("records"), about)


if __name__ == "__main__":
    main()
