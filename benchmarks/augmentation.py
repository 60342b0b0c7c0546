"""Augmentation: whether generated cells of rare types help a classifier on real cells that nothing was trained on.

    python benchmarks/augmentation.py                            # 3 seeds of everything; see the README
    python benchmarks/augmentation.py --quick                    # one seed, two epochs: does it run?
    CELLWRIGHT_DATA=FOLDER python benchmarks/augmentation.py     # where the catalogue looks first

It is `cellwright augment` with default options on the 2,000 most variable genes, chosen from training cells. What is
finished is found again, so it can be stopped at any time; the study is under `--folder`, its page is made by
`cellwright report`. The overall rows of its leaderboard are written to `results/augmentation.csv`, the tests of every
remedy, by type as well, to `results/augmentation_effects.csv`.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions

COLUMNS = ["model", "setting", "metric", "mean", "sd", "ci_low", "ci_high", "n_seeds", "seconds", "status", "reason"]


def overall(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard over all types, and the generators with their cost."""
    return board[board["group"].fillna("") == ""][COLUMNS].reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sln111_d2_rna", help="a name of the catalogue, or a file")
    parser.add_argument("--label-key", default="cell_type")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/augmentation"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "augmentation.csv")
    given = parser.parse_args()
    console = Console()
    found = cw.augment_study(
        given.data if Path(given.data).exists() else find(given.data),
        cw.AugmentOptions(seeds=1 if given.quick else given.seeds),
        out=given.folder.with_name(given.folder.name + "-quick") if given.quick else given.folder,
        keys=OpenOptions(label_key=given.label_key),
        preprocessing=cw.PreprocessOptions(n_top_genes=2000),
        fit_options=cw.FitOptions(max_epochs=2) if given.quick else cw.FitOptions(),
        name=Path(given.data).stem,
        command="benchmarks/augmentation.py",
        watch=lambda outcome: console.print(
            f"{outcome.arm.model} {outcome.arm.setting} seed {outcome.seed}: "
            f"{outcome.reason or f'{outcome.seconds:.0f} s'}"
        ),
    )
    console.print(*found.verdict, sep="\n")
    if not given.quick:
        about = {"data": given.data, **machine(), "cellwright": version("cellwright"), "torch": version("torch")}
        write_csv(given.out, overall(found.leaderboard).to_dict("records"), about)
        effects = found.effects.drop(columns=["data", "better"])
        write_csv(given.out.with_name(f"{given.out.stem}_effects.csv"), effects.to_dict("records"), about)


if __name__ == "__main__":
    main()
