"""A small study of augmentation as `cellwright augment` would leave it, with numbers to look for.

write_augmentation(folder) -> study.toml, leaderboard.csv, augment.csv, verdict.txt, runs/...
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import tomli_w

from cellwright.run import Run, RunRecord

REMEDIES = {"over": 0.01, "smote": 0.02, "vae": 0.05}
CLASSES = {"plasma": 6.0, "rare B": 30.0, "T cells": np.nan}  # training cells of those that were raised
VERDICT = ("Generated cells help: knn (vae).", "2 of 3 classes are rare.", "Without a generator: <b>over</b> +0.010.")


def write_augmentation(folder: Path) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"data": "sln", "augment": {"models": ["vae"], "target": 100}}
    (folder / "study.toml").write_text(tomli_w.dumps(plan))
    (folder / "verdict.txt").write_text("".join(f"{line}\n" for line in VERDICT))
    rows = [row for setting, gain in [("", 0.0), *_settings()] for row in _rows(setting, gain)]
    made = {"model": "vae", "setting": "", "status": "done", "seconds": 12.0, "peak_bytes": 1e9, "is_baseline": False}
    lost = {"model": "gan", "setting": "", "status": "failed", "reason": "it ran away", "is_baseline": False}
    pd.DataFrame([*rows, made, lost]).assign(data="sln").to_csv(folder / "leaderboard.csv", index=False)
    _effects().to_csv(folder / "augment.csv", index=False)
    for number, (remedy, gain) in enumerate({"none": 0.0, **REMEDIES}.items()):
        _write_run(folder, number, remedy, gain)
    return folder


def augment_run(study: Path, number: int = 0) -> Path:
    """The folder of a classifier's run."""
    return study / "runs" / f"sln-knn-{number}a2b3c4d-s0"


def _settings():
    return [(f"added={remedy}", gain) for remedy, gain in REMEDIES.items()]


def _rows(setting, gain):
    values = {("macro_f1", ""): 0.7, ("macro_f1_rare", ""): 0.4, ("accuracy", ""): 0.9}
    values |= {("macro_f1", name): 0.5 for name in CLASSES}
    return [
        {
            "model": "knn", "setting": setting, "task": "classify", "metric": metric, "better": "higher",
            "group": group, "held_out": True, "mean": value + gain, "sd": 0.01, "ci_low": value + gain - 0.02,
            "ci_high": value + gain + 0.02, "n_seeds": 3, "seconds": 0.5, "peak_bytes": 1e9, "is_baseline": True,
            "status": "done", "reason": "",
        }
        for (metric, group), value in values.items()
    ]  # fmt: skip


def _effects():
    told = [("macro_f1", "", "none"), ("macro_f1_rare", "", "none"), ("macro_f1", "", "over")]
    told += [("macro_f1", name, "none") for name in CLASSES]
    rows = [
        {
            "data": "sln", "model": model, "setting": "", "remedy": remedy, "against": against, "metric": metric,
            "better": "higher", "group": group, "n_cells": CLASSES.get(group), "is_rare": CLASSES.get(group, 0) > 0,
            "n_seeds": 3, "reference": 0.5, "with_remedy": 0.5 + gain, "difference": gain, "ci_low": gain - 0.02,
            "ci_high": gain + 0.02, "p_t": 0.01, "p_t_holm": 0.02 if gain > 0.03 else 0.5,
        }
        for model in ("knn", "logistic")
        for metric, group, against in told
        for remedy, gain in REMEDIES.items()
        if remedy != against
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _write_run(folder, number, remedy, gain):
    notes = {"label_key": "cell_type", "setting": "" if remedy == "none" else f"added={remedy}", "added": remedy}
    if remedy == "smote":
        notes["fewer_neighbours"] = {"plasma": 3, "lone": 0}
    record = RunRecord(
        command="cellwright augment sln", model="knn", options={"n_latent": 20}, fit_options={}, seed=0,
        data={"name": "sln.h5ad", "shape": [300, 40]}, versions={"cellwright": "0.1.0"}, device="cpu",
        citations=["Chawla02"], notes=notes,
    )  # fmt: skip
    run = Run.start(augment_run(folder, number), record)
    rows = [{"value": row["mean"], "seed": 0, **row} for row in _rows(notes["setting"], gain)]
    columns = ["task", "metric", "value", "better", "group", "held_out", "seed"]
    run.write_table("scores.csv", pd.DataFrame(rows)[columns])
    obs = pd.DataFrame({"cell_type": [*CLASSES]}, index=[f"cell-{i}" for i in range(3)])
    with run.writing("cells.h5ad") as path:
        ad.AnnData(X=np.ones((3, 2), dtype=np.float32), obs=obs).write_h5ad(path)
    run.finish(wall_seconds=1.0, cpu_seconds=1.0, peak_bytes=int(1e9), n_epochs=0)
