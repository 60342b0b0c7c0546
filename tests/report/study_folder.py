"""A small study as `cellwright compare` would leave it, made without any model: planted cell types, drawn scores.

    write_study(folder, names=...) -> study.toml, leaderboard.csv, runs/<data>-<model>-<hash>-s<seed>/...

`Names` is everything on the page that comes from outside, so that a test can put hostile text in every place.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellwright.run import Run, RunRecord

SIZES = (220, 150, 110, 80, 60, 40, 25, 15)  # cells per type, 700 together
SEEDS = (0, 1, 2)
# quality: separation of the types on the map, and the level of the scores
MODELS = {"pca": 0.74, "ae": 0.70, "vae": 0.83, "gnn": 0.82}
SECONDS = {"pca": 0.8, "ae": 21.0, "vae": 34.0, "gnn": 75.0}
METRICS = {
    ("cluster", "ari"): 0.0,
    ("cluster", "nmi"): -0.04,
    ("cluster", "balanced_ari"): -0.1,
    ("reduce", "silhouette"): -0.2,
}


@dataclass(frozen=True)
class Names:
    """The text that comes from outside."""

    data: str = "pbmc"  # as the study calls it
    origin: str = "pbmc.h5ad"  # as the run does
    labels: tuple[str, ...] = (
        "CD4 T cell", "CD14 monocyte", "B cell", "CD8 T cell", "NK cell", "FCGR3A monocyte", "dendritic cell",
        "megakaryocyte",
    )  # fmt: skip
    batches: tuple[str, ...] = ("donor 1", "donor 2", "donor 3")
    features: tuple[str, ...] = tuple(f"GENE{i}" for i in range(40))
    cell: str = "AAACATTGAG"
    reason: str = "the loss of the critic was not finite in step 412"
    setting: str = ""
    extra: dict[str, object] = field(default_factory=dict)  # of the data's fingerprint


def write_study(folder: Path, names: Names = Names()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text('models = ["pca", "ae", "vae", "gnn", "gan"]\nseeds = 3\n')
    rows = []
    for model in MODELS:
        for seed in SEEDS:
            rows.append(_write_run(folder, model, seed, names))
    _write_failed(folder, names)
    leaderboard = _leaderboard(pd.concat(rows), names)
    leaderboard.to_csv(folder / "leaderboard.csv", index=False)
    return folder


def run_folder(study: Path, model: str, seed: int) -> Path:
    """The folder of one run."""
    return next((study / "runs").glob(f"*-{model}-*-s{seed}"))


def _record(model: str, seed: int, names: Names) -> RunRecord:
    shape = [sum(SIZES), len(names.features)]
    return RunRecord(
        command="cellwright compare pbmc.h5ad --label-key cell_type --models pca,ae,vae,gnn,gan --seeds 3",
        model=model,
        options={"n_latent": 20, "n_layers": 2, "likelihood": {"name": "negative_binomial"}},
        fit_options={"max_epochs": 60, "batch_size": 128},
        seed=seed,
        data={"name": names.origin, "shape": shape, "features": "9f2c41d0", "values": "51be77a9", **names.extra},
        versions={"cellwright": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "anndata": "0.12.19"},
        device="cpu",
        citations=["Lopez18", "Kingma14"] if model == "vae" else ["Pearson1901"],
        notes={"label_key": "cell_type", "batch_key": "donor", "setting": names.setting},
    )


def _write_run(folder: Path, model: str, seed: int, names: Names) -> pd.DataFrame:
    rng = np.random.default_rng([seed, *model.encode()])
    run = Run.start(folder / "runs" / f"pbmc-{model}-1a2b3c4d-s{seed}", _record(model, seed, names))
    label = {"key": "cell_type", "values": list(names.labels)}
    run.write_text("schema.json", json.dumps({"features": {"rna": list(names.features)}, "label": label}))
    cells = _cells(model, rng, names)
    with run.writing("cells.h5ad") as path:
        cells.write_h5ad(path)
    if model != "pca":
        run.write_table("history.csv", _history(rng))
        run.note("best_epoch", 38)
    scores = _scores(model, seed, rng, names)
    run.write_table("scores.csv", scores)
    run.write_table("split.csv", pd.DataFrame({"obs": cells.obs_names, "split": cells.obs["split"].to_numpy()}))
    run.log("done")
    seconds = SECONDS[model] * rng.uniform(0.9, 1.1)
    run.finish(wall_seconds=seconds, cpu_seconds=1.9 * seconds, peak_bytes=int(4e8 + 1e7 * seconds), n_epochs=60)
    return scores.assign(model=model, seconds=seconds, peak_bytes=4e8 + 1e7 * seconds)


def _write_failed(folder: Path, names: Names) -> None:
    run = Run.start(folder / "runs" / "pbmc-gan-1a2b3c4d-s0", _record("gan", 0, names))
    run.fail(names.reason, wall_seconds=12.0)


def _cells(model: str, rng: np.random.Generator, names: Names) -> ad.AnnData:
    types = np.repeat(np.arange(len(SIZES)), SIZES)
    centres = np.random.default_rng(7).normal(0, 6, (len(SIZES), 2))
    angle = sum(model.encode())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    umap = (centres[types] + rng.normal(0, 2.6 - 2.3 * MODELS[model], (len(types), 2))) @ turn
    clusters = np.where(rng.random(len(types)) < 0.1, rng.integers(0, len(SIZES), len(types)), types)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(types, list(names.labels)),
            "donor": pd.Categorical.from_codes(rng.integers(0, len(names.batches), len(types)), list(names.batches)),
            "cluster": pd.Categorical(clusters.astype(str)),
            "split": pd.Categorical(rng.choice(["train", "validation", "test"], len(types), p=[0.8, 0.1, 0.1])),
        },
        index=[f"{names.cell}-{i}" for i in range(len(types))],
    )
    cells = ad.AnnData(obs=obs)
    cells.obsm[f"X_{model}"] = np.hstack([umap, rng.normal(size=(len(types), 3))]).astype(np.float32)
    if model != "gnn":
        cells.obsm[f"X_{model}_umap"] = umap.astype(np.float32)
    cells.uns["markers"] = _markers(rng, names)
    cells.uns["composition"] = _composition(obs)
    return cells


def _markers(rng: np.random.Generator, names: Names) -> pd.DataFrame:
    rows = []
    for cluster in range(len(SIZES)):
        for rank in range(10):
            change = 4.5 * np.exp(-rank / 4) + rng.uniform(0, 0.3)
            fractions = 0.95 - 0.06 * rank, rng.uniform(0.02, 0.2)
            feature = names.features[(cluster * 4 + rank) % len(names.features)]
            p = 10.0 ** -(30 - 2.5 * rank)
            rows.append(
                [str(cluster), rank + 1, feature, change, change / 2, 0.2, *fractions, 0.97 - 0.03 * rank, p, 40 * p]
            )
    columns = (
        "cluster rank feature log2_fold_change mean_in mean_out fraction_in fraction_out effect_size p_value p_adjusted"
    )
    return pd.DataFrame(rows, columns=columns.split())


def _composition(obs: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for by in ("cell_type", "donor"):
        n = pd.crosstab(obs["cluster"], obs[by]).stack().rename("n").rename_axis(["cluster", "category"]).reset_index()
        n["share_of_cluster"] = n["n"] / n.groupby("cluster", observed=True)["n"].transform("sum")
        n["share_of_category"] = n["n"] / n.groupby("category", observed=True)["n"].transform("sum")
        parts.append(n.assign(by=by).astype({"cluster": str, "category": str}))
    return pd.concat(parts, ignore_index=True)[
        ["cluster", "by", "category", "n", "share_of_cluster", "share_of_category"]
    ]


def _history(rng: np.random.Generator) -> pd.DataFrame:
    epoch = np.arange(60)
    parts = []
    for split, rise, noise in (("train", 0.0, 0.3), ("validation", 0.35, 0.8)):
        reconstruction = 310 + 90 * np.exp(-epoch / 9) + rise * np.maximum(0, epoch - 38) + rng.normal(0, noise, 60)
        kl = 14 * (1 - np.exp(-epoch / 6)) + rng.normal(0, 0.05, 60)
        for term, value in (("reconstruction", reconstruction), ("kl", kl), ("total", reconstruction + kl)):
            parts.append(pd.DataFrame({"epoch": epoch, "split": split, "term": term, "value": value}))
    return pd.concat(parts, ignore_index=True)


def _scores(model: str, seed: int, rng: np.random.Generator, names: Names) -> pd.DataFrame:
    rows = []
    noise = 0.0 if model == "pca" else 0.008
    for (task, metric), shift in METRICS.items():
        for held_out in (False, True):
            value = MODELS[model] + shift - 0.03 * held_out + rng.normal(0, noise)
            rows.append([task, metric, value, "higher", "", held_out, seed])
    rows.append(["impute", "rmse", 1.4 - MODELS[model] / 2 + rng.normal(0, noise), "lower", "", False, seed])
    for i, label in enumerate(names.labels):
        value = np.clip(
            MODELS[model] + 0.12 - 0.004 * i**2 * (1.6 if model == "pca" else 1.0) + rng.normal(0, 0.03), 0, 1
        )
        rows.append(["cluster", "label_f1", value, "higher", label, False, seed])
    return pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group", "held_out", "seed"])


def _leaderboard(scores: pd.DataFrame, names: Names) -> pd.DataFrame:
    keys = ["model", "task", "metric", "better", "group", "held_out"]
    grouped = scores.groupby(keys, sort=False)
    table = grouped["value"].agg(mean="mean", sd="std", n_seeds="size").reset_index()
    half = (
        4.303 * table["sd"] / np.sqrt(table["n_seeds"])
    )  # the 97.5 % quantile of Student's t with 2 degrees of freedom
    table["ci_low"], table["ci_high"] = table["mean"] - half, table["mean"] + half
    cost = scores.groupby("model")[["seconds", "peak_bytes"]].mean()
    table = table.join(cost, on="model")
    table["is_baseline"], table["status"], table["reason"] = table["model"] == "pca", "done", ""
    failed = {
        "model": "gan",
        "status": "failed",
        "reason": names.reason,
        "is_baseline": False,
        "held_out": False,
        "n_seeds": 0,
    }
    whole = pd.concat([table, pd.DataFrame([failed])], ignore_index=True).assign(data=names.data, setting=names.setting)
    order = "data model setting task metric better group held_out mean sd ci_low ci_high n_seeds seconds peak_bytes"
    return whole[[*order.split(), "is_baseline", "status", "reason"]]
