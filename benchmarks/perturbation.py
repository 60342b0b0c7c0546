"""Perturbation: which setting is chosen for a held-out cell type without looking at it, by nested leave-one-type-out.

    python benchmarks/perturbation.py                       # six pairs of types, one seed; see the README
    python benchmarks/perturbation.py --models response_vae:share=1,scgen --seeds 3
    CELLWRIGHT_DATA=FOLDER python benchmarks/perturbation.py        # where the catalogue looks first

For a held-out type X, the treated cells of X and of another type Y are held out together, a setting is scored on Y
alone, and the setting with the best mean over the Ys is the one that X gets. It is `cellwright perturb --hold-out X,Y`
for every pair: what is finished is found again, the studies are under `--folder`. The scores of a setting as it is
chosen for X, by type and in the mean, are printed and written to `results/perturbation.csv`.
"""

import argparse
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import pandas as pd
from machine import HERE, machine, write_csv
from rich.console import Console
from rich.table import Table

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions

HELD_OUT = ("CD4T", "FCGR3A+Mono", "Dendritic", "NK")
KEYS = OpenOptions(label_key="cell_type", condition_key="condition", control="control")
METRICS = ("mean_r2", "change_pearson", "e_distance")
# three shares of the network in the mean, and what draws the latents of control and treated cells together
MODELS = ("response_vae", "response_vae:share=0", "response_vae:share=1", "response_vae:match_weight=50", "scgen")


def pair_scores(pair: tuple[str, str], models: tuple[str, ...], seeds: int, folder: Path) -> pd.DataFrame:
    """The scores by type of one pair that is held out together; `chosen_for` is the other type of the pair."""
    options = cw.PerturbOptions(models=models, hold_out=pair, treated="stimulated", seeds=seeds)
    name = "-".join(part.replace("+", "") for part in pair)
    board = cw.perturb_study(find("kang_ifnb_pbmc"), options, out=folder / name, keys=KEYS).leaderboard
    rows = board[board["metric"].isin(METRICS) & board["group"].isin(pair)]
    other = {pair[0]: pair[1], pair[1]: pair[0]}
    return rows[["model", "setting", "metric", "group", "mean"]].assign(chosen_for=rows["group"].map(other))


def nested(scores: pd.DataFrame) -> pd.DataFrame:
    """For each held-out type, model and metric the mean over the other types; `chosen` is the best mean_r2 for it."""
    keys = ["chosen_for", "model", "setting", "metric"]
    found = scores.groupby(keys, sort=False, as_index=False)["mean"].mean().rename(columns={"mean": "nested"})
    by_r2 = found[(found["metric"] == "mean_r2") & (found["model"] != "half_split")]
    best = by_r2.loc[by_r2.groupby("chosen_for")["nested"].idxmax()].set_index("chosen_for")
    named = found["model"] + found["setting"]
    found["chosen"] = named == found["chosen_for"].map(best["model"] + best["setting"])
    return found


def shown(found: pd.DataFrame) -> Table:
    """Nested mean_r2 by model and held-out type, the chosen ones marked."""
    rows = found[found["metric"] == "mean_r2"]
    table = Table("model", *HELD_OUT, "mean", title="nested R2 of means: the setting is scored on the other types")
    order = rows.groupby(["model", "setting"])["nested"].mean().sort_values(ascending=False)
    for (model, setting), mean in order.items():
        mine = rows[(rows["model"] == model) & (rows["setting"] == setting)].set_index("chosen_for")
        cells = [f"{mine['nested'][x]:.4f}{' *' if mine['chosen'][x] else ''}" for x in HELD_OUT]
        table.add_row(f"{model} {setting}".strip(), *cells, f"{mean:.4f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="names, or name:option=value:..., with commas")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/perturbation"))
    asked = parser.parse_args()
    models = tuple(asked.models.split(","))
    scores = [pair_scores(pair, models, asked.seeds, asked.folder) for pair in combinations(HELD_OUT, 2)]
    found = nested(pd.concat(scores, ignore_index=True))
    Console().print(shown(found))
    about = {"n_seeds": asked.seeds, **machine(), "cellwright": version("cellwright"), "torch": version("torch")}
    write_csv(HERE / "results" / "perturbation.csv", found.to_dict("records"), about)


if __name__ == "__main__":
    main()
