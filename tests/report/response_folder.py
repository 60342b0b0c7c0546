"""A small perturbation study as `cellwright perturb` would leave it, made without any model, with numbers to look for.

    write_responses(folder, Story(...)) -> study.toml, leaderboard.csv, networks.csv, remedies.csv, runs/...

A `Story` is what the numbers say: how much better the network is than the best baseline, and what each remedy does.
"""

from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import tomli_w

from cellwright.run import Run, RunRecord

REMEDIES = ("under", "over")
PLACES = ("training", "shift", "both")
LOWER = {"e_distance", "variance_error", "mean_r2_spread"}
# the headline of each model in the first type; no change is the floor, half_split the ceiling
R2 = {"no_change": 0.8, "gene_shift": 0.95, "scgen": 0.96, "half_split": 1.0}
GENES = ("ISG15", "IFI6", "LY6E", "ISG20", "MX1", "IFIT3", "OAS1", "B2M", "ACTB", "CD3D", "MALAT1", "TMSB4X")


@dataclass(frozen=True)
class Story:
    """What is told. An effect is the difference from none in the headline, and its Holm-adjusted p-value."""

    difference: tuple[float, float, float] = (0.01, 0.005, 0.015)  # network minus baseline, and the interval
    e_distance: tuple[float, float, float] = (-0.2, -0.3, -0.1)
    change_pearson: tuple[float, float, float] = (0.01, -0.02, 0.04)
    effects: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)  # by remedy and place
    by_type: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)  # the type first
    spreads: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    types: tuple[str, ...] = ("CD4T", "NK")
    genes: tuple[str, ...] = GENES
    reason: str = "it must have two types; it got one"
    n_seeds: int = 3
    quick: bool = False
    is_screen: bool = False  # that runs have a targets.csv
    failed: str = ""  # a model without runs


def write_responses(folder: Path, story: Story = Story()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"hold_out_each": list(story.types), "quick": story.quick}
    (folder / "study.toml").write_text(tomli_w.dumps({"data": "kang", "perturb": plan, "fit": {"max_epochs": 15}}))
    models = [model for model in R2 if model != story.failed]
    board = pd.DataFrame([row for model in models for row in _rows(model, "", 0.0, story)])
    remedied = [("scgen", _setting(*arm), effect) for arm, (effect, _) in story.effects.items()]
    board = pd.concat([board, pd.DataFrame([row for arm in remedied for row in _rows(*arm, story)])])
    if story.failed:
        lost = {"model": story.failed, "status": "failed", "reason": story.reason, "held_out": True, "setting": ""}
        board = pd.concat([board, pd.DataFrame([lost])])
    board.assign(data="kang").to_csv(folder / "leaderboard.csv", index=False)
    _networks(story).to_csv(folder / "networks.csv", index=False)
    _remedies(story).to_csv(folder / "remedies.csv", index=False)
    for model in models:
        for i, name in enumerate(story.types):
            if model != "half_split":
                _write_run(folder, model, name, i, story)
    return folder


def response_run(study: Path, model: str, at: int = 0) -> Path:
    """The folder of the run of a model on one of the types."""
    return study / "runs" / f"kang-{model}-{at}a2b3c4d-s0"


def _setting(remedy: str, place: str) -> str:
    return f"balance={remedy} in {place}"


def _rows(model: str, setting: str, effect: float, story: Story) -> list[dict]:
    """Over types (the group is empty) and of each: the second type is .02 worse than the first, and so on."""
    found = []
    level = R2[model] + effect
    falls = [0.02 * i for i in range(len(story.types))]
    values = {
        "mean_r2": level, "mean_r2_worst": level - falls[-1], "mean_r2_spread": falls[-1],
        "mean_r2_placed": (level - 0.8) / 0.2, "change_pearson": 5 * (level - 0.8),
        "mean_r2_top100": level - 0.1, "changed_genes_found": level - 0.3, "e_distance": 5 * (1 - level),
        "e_distance_placed": 1 - (1 - level) / 0.2, "variance_error": 0.5, "mean_r2_top100_placed": 1.2,
    }  # fmt: skip
    for metric, value in values.items():
        found.append((metric, "", value))
        if metric in ("mean_r2", "change_pearson", "e_distance"):
            down = -1 if metric in LOWER else 1
            found += [(metric, name, value - down * fall) for name, fall in zip(story.types, falls, strict=True)]
    return [
        {
            "model": model, "setting": setting, "task": "perturb", "metric": metric, "group": group, "held_out": True,
            "better": "lower" if metric in LOWER else "higher", "mean": value, "sd": 0.002, "ci_low": value - 0.004,
            "ci_high": value + 0.004, "n_seeds": story.n_seeds, "seconds": 0.5 if model != "scgen" else 90.0,
            "peak_bytes": 1e9, "is_baseline": model != "scgen", "status": "done", "reason": "",
        }
        for metric, group, value in found
    ]  # fmt: skip


def _networks(story: Story) -> pd.DataFrame:
    rows = []
    for metric, base in (("mean_r2", 0.95), ("change_pearson", 0.75), ("e_distance", 1.0)):
        difference, low, high = story.difference if metric == "mean_r2" else getattr(story, metric)
        rows.append(
            {
                "model": "scgen", "setting": "", "metric": metric, "baseline": "gene_shift", "baseline_setting": "",
                "better": "lower" if metric in LOWER else "higher", "n_types": len(story.types),
                "n_seeds": story.n_seeds, "network": base + difference, "best_baseline": base,
                "difference": difference, "ci_low": low, "ci_high": high, "p_t": 0.01, "p_wilcoxon": 0.02,
                "p_t_holm": float("nan") if np.isnan(low) else 0.01 if low > 0 or high < 0 else 0.3,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _remedies(story: Story) -> pd.DataFrame:
    told = [("", "mean_r2", *arm, *effect) for arm, effect in story.effects.items()]
    told += [("", "e_distance", *arm, -effect, 1.0) for arm, (effect, _) in story.effects.items()]
    told += [("", "mean_r2_spread", *arm, *effect) for arm, effect in story.spreads.items()]
    for name in story.types:
        told += [
            (name, "mean_r2", *arm, *story.by_type.get((name, *arm), (effect, 1.0)))
            for arm, (effect, _) in story.effects.items()
        ]
    columns = ["group", "metric", "remedy", "where", "difference", "p_t_holm"]
    table = pd.DataFrame(told, columns=columns).assign(model="scgen", setting="", none=0.9)
    table["better"] = np.where(table["metric"].isin(LOWER), "lower", "higher")
    table["n_types"], table["n_seeds"] = np.where(table["group"] == "", len(story.types), 1), story.n_seeds
    of_seeds = (table["group"] != "") | table["metric"].str.endswith("_spread")
    table["over"] = np.where(of_seeds, "seeds", "types")
    table["with_remedy"] = table["none"] + table["difference"]
    table["ci_low"], table["ci_high"] = table["difference"] - 0.005, table["difference"] + 0.005
    for name in ("p_t", "p_wilcoxon", "p_wilcoxon_holm"):
        table[name] = table["p_t_holm"]
    return table


def _write_run(folder: Path, model: str, group: str, index: int, story: Story) -> None:
    record = RunRecord(
        command="cellwright perturb kang --hold-out-each CD4T,NK", model=model, options={"n_latent": 20},
        fit_options={"max_epochs": 15}, seed=0, data={"name": "kang.h5ad", "shape": [300, len(story.genes)]},
        versions={"cellwright": "0.1.0"}, device="cpu", citations=["Lotfollahi19"],
        notes={"label_key": "cell_type", "setting": "", "hold_out": [group], "control": "control"},
    )  # fmt: skip
    run = Run.start(response_run(folder, model, index), record)
    rng = np.random.default_rng(index)
    control = np.linspace(0.5, 3, len(story.genes))
    change = np.linspace(2.0, 0.0, len(story.genes))
    share = (R2[model] - 0.8) / 0.2
    genes = pd.DataFrame({"group": group, "gene": story.genes, "control_mean": control})
    genes = genes.assign(treated_mean=control + change, predicted_mean=control + share * change, change=change)
    run.write_table("genes.csv", genes.assign(rank=np.arange(1, len(genes) + 1), fdr=0.01))
    kinds = np.repeat(["control", "treated", "predicted"], 20)
    x = rng.normal(size=60) + np.repeat([0.0, 6.0, 6 * share], 20)
    places = pd.DataFrame({"group": group, "kind": kinds, "x": x, "y": rng.normal(size=60)})
    run.write_table("places.csv", places.assign(share_x=0.4, share_y=0.1))
    targets = pd.DataFrame({"group": group, "target": [f"g{k}" for k in range(25)], "n_cells": 30, "n_changed": 4})
    pearson = np.linspace(0.9, 0.1, 25) if model != "no_change" else np.nan
    targets = targets.assign(mean_mae=0.1, changed_genes_found=0.5, change_pearson=pearson, rank=2)
    if story.is_screen:
        run.write_table("targets.csv", targets)
    if model == "scgen":
        epochs = pd.DataFrame({"epoch": np.tile(np.arange(5), 2), "split": np.repeat(["train", "validation"], 5)})
        run.write_table("history.csv", epochs.assign(term="loss", value=np.tile([9.0, 5, 4, 3, 3.5], 2)))
    rows = [row for row in _rows(model, "", 0.0, story) if row["group"] == group]
    scores = pd.DataFrame([{"value": row["mean"], "seed": 0, **row} for row in rows])
    run.write_table("scores.csv", scores[["task", "metric", "value", "better", "group", "held_out", "seed"]])
    obs = pd.DataFrame({"cell_type": [group] * 3}, index=[f"cell-{i}" for i in range(3)])
    with run.writing("cells.h5ad") as path:
        ad.AnnData(X=np.ones((3, 2), dtype=np.float32), obs=obs).write_h5ad(path)
    run.finish(wall_seconds=1.0, cpu_seconds=1.0, peak_bytes=int(1e9), n_epochs=5)
