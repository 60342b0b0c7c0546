"""A small study of integrations as `cellwright integrate` would leave it, with numbers to look for.

write_integration(folder) -> study.toml, leaderboard.csv, recommendation.csv, confounding.csv, runs/...
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import tomli_w

from cellwright.run import Run, RunRecord

LABELS = {"T cells": 60, "B <cells>": 30, "plasma": 10}
BATCHES = ("lane 1", "lane 2")
# bio, batch, order in time; plasma cells are mixed away by the network that mixes best
MODELS = {
    "pca": (0.70, 0.30, 0.80),
    "harmony": (0.72, 0.70, 0.78),
    "vae": (0.71, 0.60, 0.79),
    "mmd_vae": (0.50, 0.90, 0.6),
}
BASELINES = ("pca", "harmony")
KEPT = {"pca": 0.9, "harmony": 0.88, "vae": 0.89, "mmd_vae": 0.4}  # cLISI of plasma cells


def write_integration(folder: Path, *, is_confounded: bool = True, labels: bool = True) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"data": "lanes", "integrate": {"models": ["vae", "mmd_vae"], "seeds": 2}}
    (folder / "study.toml").write_text(tomli_w.dumps(plan))
    rows = pd.DataFrame([row for model in MODELS for row in _rows(model, labels=labels)])
    lost = {"model": "semi_vae", "status": "failed", "reason": "it ran away", "is_baseline": False, "setting": ""}
    pd.concat([rows, pd.DataFrame([lost])]).assign(data="lanes").to_csv(folder / "leaderboard.csv", index=False)
    recommendation().to_csv(folder / "recommendation.csv", index=False)
    confounding(is_confounded=is_confounded).to_csv(folder / "confounding.csv", index=False)
    for model in MODELS:
        _write_run(folder, model, labels=labels)
    return folder


def integration_run(study: Path, model: str = "vae") -> Path:
    """The folder of a model's run."""
    return study / "runs" / f"lanes-{model}-1a2b3c4d-s0"


def recommendation(chosen: str = "harmony", **changes: dict[str, object]) -> pd.DataFrame:
    """`recommendation.csv`, the best total first; `changes` by model are laid over its row."""
    rows = []
    for model, (bio, batch, time) in MODELS.items():
        total = 0.6 * bio + 0.4 * batch
        row = {
            "model": model, "setting": "", "is_baseline": model in BASELINES, "reads_labels": False, "n_seeds": 2,
            "total": total, "bio": bio, "batch": batch, "time_order": time, "best_baseline": "harmony",
            "difference": total - 0.712, "ci_low": total - 0.722, "ci_high": total - 0.702, "bio_change": bio - 0.7,
            "batch_change": batch - 0.3, "time_change": time - 0.8, "loses_bio": bio < 0.65, "loses_time": time < 0.75,
            "is_recommended": model == chosen,
        }  # fmt: skip
        rows.append(row | changes.get(model, {}))
    return pd.DataFrame(rows).sort_values("total", ascending=False, ignore_index=True)


def confounding(*, is_confounded: bool = True) -> pd.DataFrame:
    """`confounding.csv`: of the label little, of the time much or little."""
    rows = [("label", "cell_type", "cramers_v", 0.12, 0.3), ("time", "minutes", "eta_squared", 0.61, 0.14)]
    table = pd.DataFrame(rows, columns=["of", "key", "measure", "value", "limit"])
    return table.assign(is_confounded=[False, is_confounded])


def _rows(model, *, labels):
    bio, batch, time = MODELS[model]
    values = {("ilisi", ""): batch, ("time_order", ""): time}
    if labels:
        total = 0.6 * bio + 0.4 * batch
        values |= {("integration_total", ""): total, ("bio_total", ""): bio, ("batch_total", ""): batch}
        for name in LABELS:
            values |= {("clisi", name): KEPT[model] if name == "plasma" else 0.95, ("ilisi", name): batch}
        values["ilisi", "B <cells>"] = batch / 2
    return [
        {
            "model": model, "setting": "", "task": "integrate", "metric": metric, "better": "higher", "group": group,
            "held_out": False, "mean": value, "sd": 0.01, "ci_low": value - 0.01, "ci_high": value + 0.01,
            "n_seeds": 2, "seconds": 3.0, "peak_bytes": 1e9, "is_baseline": model in BASELINES, "status": "done",
            "reason": "",
        }
        for (metric, group), value in values.items()
    ]  # fmt: skip


def _write_run(folder, model, *, labels):
    record = RunRecord(
        command="cellwright integrate lanes", model=model, options={"n_latent": 2}, fit_options={}, seed=0,
        data={"name": "lanes.h5ad", "shape": [100, 40]}, versions={"cellwright": "0.1.0"}, device="cpu",
        citations=["Lopez18"], notes={"batch_key": "lane", "label_key": "cell_type" if labels else None},
    )  # fmt: skip
    run = Run.start(integration_run(folder, model), record)
    rows = [{"value": row["mean"], "seed": 0, **row} for row in _rows(model, labels=labels)]
    columns = ["task", "metric", "value", "better", "group", "held_out", "seed"]
    run.write_table("scores.csv", pd.DataFrame(rows)[columns])
    rng = np.random.default_rng(len(model))
    label = np.repeat([*LABELS], [*LABELS.values()])
    obs = pd.DataFrame({"lane": np.array(BATCHES)[rng.integers(0, 2, 100)]}, index=[f"cell-{i}" for i in range(100)])
    if labels:
        obs["cell_type"] = label
    cells = ad.AnnData(X=np.ones((100, 1), dtype=np.float32), obs=obs)
    cells.obsm[f"X_{model}_umap"] = rng.normal(size=(100, 2)).astype(np.float32)
    with run.writing("cells.h5ad") as path:
        cells.write_h5ad(path)
    run.finish(wall_seconds=3.0, cpu_seconds=3.0, peak_bytes=int(1e9), n_epochs=5)
