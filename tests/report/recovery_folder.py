"""A small study of imputations as `cellwright recover` would leave it, made without any model; numbers to look for.

    write_recovery(folder, Story(...)) -> study.toml, leaderboard.csv, recommendation.csv, runs/...

A `Story` is what the numbers say. By the deviance the order is vae, knn_gamma, magic, as_measured; by the ARI it is
another.
"""

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import tomli_w

from cellwright.run import Run, RunRecord

DEVIANCE = {"vae": 2.9, "knn_gamma": 3.0, "magic": 3.2, "as_measured": 5.0}
ARI = {"vae": 0.5, "knn_gamma": 0.6, "magic": 0.7, "as_measured": 0.4}
FALSE_MARKERS = {"vae": 0.6, "knn_gamma": 0.7, "magic": 0.9, "as_measured": 0.0}
DRAWS = {"vae": 0.01, "knn_gamma": 0.08}  # what does not draw has none
PROTEIN = {"vae": 0.5, "knn_gamma": 0.45, "magic": 0.4, "as_measured": 0.3}
F1 = {"vae": 0.8, "knn_gamma": 0.7, "magic": 0.6, "as_measured": 0.5}
BASELINES = ("knn_gamma", "magic", "as_measured")
LOWER = {"poisson_deviance", "log_mse", "entry_rmse", "false_correlation", "false_markers"}
HARM = ("false_correlation", "false_markers", "false_correlation_drawn", "false_markers_drawn")
SIZES = (30, 20, 4)  # cells of each type
PROTEINS = (("CD3", "CD3E", 0.3), ("CD19", "CD19", 0.6), ("CD14", "CD14", -0.1))  # the correlation as measured


@dataclass(frozen=True)
class Story:
    """What is told."""

    types: tuple[str, ...] = ("T cell", "B cell", "rare")
    genes: tuple[str, ...] = ("CD3D", "CD3E", "LYZ", "S100A8")  # two pairs
    proteins: bool = True
    n_seeds: int = 2
    failed: str = ""  # a model without runs
    reason: str = "it must have 30 cells; it got 12"
    setting: str = ""  # of the network
    lost: float = 0.3  # of the network's F1 for the last type, against the measured values


def write_recovery(folder: Path, story: Story = Story()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"models": ["vae"], "seeds": story.n_seeds}
    (folder / "study.toml").write_text(tomli_w.dumps({"data": "pbmc", "recover": plan}))
    models = [model for model in DEVIANCE if model != story.failed]
    board = pd.DataFrame([row for model in models for row in _rows(model, story)])
    if story.failed:
        lost = {"model": story.failed, "status": "failed", "reason": story.reason, "setting": "", "n_seeds": 0}
        board = pd.concat([board, pd.DataFrame([lost])])
    board.assign(data="pbmc", held_out=True).to_csv(folder / "leaderboard.csv", index=False)
    _recommendation(models, story).to_csv(folder / "recommendation.csv", index=False)
    for model in models:
        for seed in range(story.n_seeds):
            _write_run(folder, model, seed, story)
    return folder


def recovery_run(study: Path, model: str, seed: int = 0) -> Path:
    """The folder of a run."""
    return study / "runs" / f"pbmc-{model}-1a2b3c4d-s{seed}"


def _values(model: str, story: Story) -> dict[tuple[str, str, str], float]:
    """By task, metric and type; the deviance of a type grows from type to type, more for baselines."""
    values = {
        ("impute", "poisson_deviance", ""): DEVIANCE[model],
        ("impute", "log_mse", ""): 5 - DEVIANCE[model],
        ("impute", "entry_rmse", ""): 1.0,
        ("impute", "entry_pearson_cell", ""): 0.6,
        ("impute", "entry_pearson_gene", ""): 0.3,
        ("impute", "false_correlation", ""): 0.06 if model == "vae" else 0.01,
        ("impute", "false_markers", ""): FALSE_MARKERS[model],
        ("impute", "zeros_kept", ""): 0.9,
        ("cluster", "ari", ""): ARI[model],
        ("cluster", "balanced_ari", ""): ARI[model] - 0.1,
        ("cluster", "label_f1", ""): F1[model],
    }
    if model in DRAWS:
        values["impute", "false_correlation_drawn", ""] = 0.001
        values["impute", "false_markers_drawn", ""] = DRAWS[model]
    if story.proteins:
        values["impute", "protein_spearman", ""] = PROTEIN[model]
    for i, name in enumerate(story.types):
        values["impute", "poisson_deviance", name] = DEVIANCE[model] * (1 + i)
        is_lost = model == "vae" and i == len(story.types) - 1
        values["cluster", "label_f1", name] = F1["as_measured"] - story.lost if is_lost else F1[model]
    return values


def _better(metric: str) -> str:
    return "lower" if metric.removesuffix("_drawn") in LOWER else "higher"


def _rows(model: str, story: Story) -> list[dict]:
    half = 0.05 if story.n_seeds > 1 else float("nan")
    return [
        {
            "model": model, "setting": story.setting if model == "vae" else "", "task": task, "metric": metric,
            "group": group, "better": _better(metric), "mean": value, "sd": 0.01, "ci_low": value - half,
            "ci_high": value + half, "n_seeds": story.n_seeds, "seconds": 9.0, "peak_bytes": 1e9,
            "is_baseline": model in BASELINES, "status": "done", "reason": "",
        }
        for (task, metric, group), value in _values(model, story).items()
    ]  # fmt: skip


def _recommendation(models: list[str], story: Story) -> pd.DataFrame:
    rows = []
    for model in models:
        values = _values(model, story)
        of = {name: values.get(("impute", name, ""), float("nan")) for name in HARM}
        difference = float("nan") if model == "knn_gamma" else DEVIANCE[model] - DEVIANCE["knn_gamma"]
        rows.append(
            {
                "model": model, "setting": story.setting if model == "vae" else "", "is_baseline": model in BASELINES,
                "n_seeds": story.n_seeds, "deviance": DEVIANCE[model], "best_baseline": "knn_gamma",
                "difference": difference, "ci_low": difference - 0.05, "ci_high": difference + 0.05, **of,
                "means_are_harmless": model == "as_measured", "draws_are_harmless": model == "vae",
                "is_recommended": model == "vae",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _write_run(folder: Path, model: str, seed: int, story: Story) -> None:
    record = RunRecord(
        command="cellwright recover pbmc", model=model, options={"n_latent": 10}, fit_options={"max_epochs": 5},
        seed=seed, data={"name": "memory", "shape": [sum(SIZES), 100]}, versions={"cellwright": "0.1.0"},
        device="cpu", citations=["Lopez18"],
        notes={"label_key": "cell_type", "setting": story.setting if model == "vae" else ""},
    )  # fmt: skip
    run = Run.start(recovery_run(folder, model, seed), record)
    run.write_table("gene_pairs.csv", _pairs(model, seed, story))
    if story.proteins:
        shift = PROTEIN[model] - PROTEIN["as_measured"]
        table = pd.DataFrame(PROTEINS, columns=["protein", "gene", "measured"])
        run.write_table("proteins.csv", table.assign(imputed=table["measured"] + shift * np.array([1, 1, -1])))
    rows = [{"value": row["mean"] + seed, "held_out": True, "seed": seed, **row} for row in _rows(model, story)]
    run.write_table(
        "scores.csv", pd.DataFrame(rows)[["task", "metric", "value", "better", "group", "held_out", "seed"]]
    )
    _write_cells(run, story)
    run.finish(wall_seconds=9.0, cpu_seconds=9.0, peak_bytes=int(1e9), n_epochs=5)


def _labels(story: Story) -> np.ndarray:
    return np.repeat(story.types, SIZES[: len(story.types)]) if story.types else np.full(40, "")


def _write_cells(run: Run, story: Story) -> None:
    labels = _labels(story)
    name = "cell_type" if story.types else "other"
    obs = pd.DataFrame({name: labels}, index=[f"cell-{i}" for i in range(len(labels))])
    with run.writing("cells.h5ad") as path:
        ad.AnnData(obs=obs).write_h5ad(path)


def _pairs(model: str, seed: int, story: Story) -> pd.DataFrame:
    """Two pairs of genes in as many cells as there are; imputed is as measured plus what the model's place is."""
    labels = _labels(story)
    rng = np.random.default_rng(seed)
    tables = []
    for x, y in (story.genes[:2], story.genes[2:]):
        values = rng.uniform(0, 3, (len(labels), 2)).round(2)
        after = values + list(DEVIANCE).index(model)
        table = pd.DataFrame({"gene_x": x, "gene_y": y, "label": labels})
        tables.append(
            table.assign(before_x=values[:, 0], before_y=values[:, 1], after_x=after[:, 0], after_y=after[:, 1])
        )
    return pd.concat(tables, ignore_index=True)
