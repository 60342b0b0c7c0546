"""A small study as `cellwright trajectory` would leave it, made without any model: a stem and two branches.

write_trajectory(folder, story) -> study.toml, leaderboard.csv, runs/<data>-<model>-<hash>-s<seed>/...
"""

import json
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellwright.run import Run, RunRecord
from cellwright.study.statistics import summarise

N_OBS, N_POINTS = 90, 12
MODELS = {"pca": 0.7, "vae": 0.9}  # order in time


@dataclass(frozen=True)
class Story:
    """What comes from outside, and what there is."""

    fates: tuple[str, ...] = ("erythroid", "myeloid")
    features: tuple[str, ...] = ("GATA1", "MPO", "CD34", "KLF1")
    labels: tuple[str, ...] = ("stem cell", "early", "late")
    cell: str = "cell"
    has_labels: bool = True
    root_is_proposed: bool = False
    n_unreached: int = 0
    changes: bool = True
    umap: bool = True
    models: tuple[str, ...] = tuple(MODELS)
    n_seeds: int = 2


def write_trajectory(folder: Path, story: Story = Story()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text('data = "marrow"\n[study]\nseeds = 3\n')
    tables = [_write_run(folder, model, seed, story) for model in story.models for seed in range(story.n_seeds)]
    summarise(pd.concat(tables)).to_csv(folder / "leaderboard.csv", index=False)
    return folder


def trajectory_run(study: Path, model: str) -> Path:
    """The folder of one run."""
    return next((study / "runs").glob(f"*-{model}-*-s0"))


def _write_run(folder: Path, model: str, seed: int, story: Story) -> pd.DataFrame:
    rng = np.random.default_rng([seed, *model.encode()])
    record = RunRecord(
        command="cellwright trajectory marrow.h5ad --time-key day",
        model=model,
        options={"n_latent": 4},
        fit_options={"max_epochs": 5},
        seed=seed,
        data={"name": "marrow.h5ad", "shape": [N_OBS, 30]},
        versions={"cellwright": "0.1.0"},
        citations=["Setty19"],
        notes={
            "label_key": "kind" if story.has_labels else None,
            "batch_key": None,
            "time_key": "day",
            "setting": "",
            "reads_labels": False,
        },
    )
    run = Run.start(folder / "runs" / f"marrow-{model}-1a2b3c4d-s{seed}", record)
    run.write_text("schema.json", json.dumps({"features": {"X": ["g"]}}))
    with run.writing("cells.h5ad") as path:
        _cells(model, rng, story).write_h5ad(path)
    scores = _scores(model, seed, rng, story)
    run.write_table("scores.csv", scores)
    run.finish(wall_seconds=3.0, cpu_seconds=3.0, peak_bytes=10**8, n_epochs=5)
    who = {"data": "marrow", "model": model, "setting": "", "is_baseline": model == "pca"}
    return scores.assign(**who, seconds=3.0, peak_bytes=1e8)


def _cells(model: str, rng: np.random.Generator, story: Story) -> ad.AnnData:
    """The stem up to .4, then a branch up and a branch down in turn."""
    time = np.linspace(0, 1, N_OBS)
    branch = np.where(time < 0.4, 0, 1 + np.arange(N_OBS) % 2)
    side = np.array([0, 1, -1])[branch]
    places = np.column_stack([time, side * np.maximum(time - 0.4, 0)]) + 0.01 * rng.normal(size=(N_OBS, 2))
    far = np.arange(N_OBS) >= N_OBS - story.n_unreached
    names = ["trunk", *story.fates]
    obs = pd.DataFrame(
        {
            "pseudotime": np.where(far, np.inf, time),
            "branch": pd.Categorical.from_codes(np.where(far, -1, branch), categories=pd.Index(names)),
        },
        index=[f"{story.cell}-{row}" for row in range(N_OBS)],
    )
    if story.has_labels:
        obs["kind"] = pd.Categorical(np.array(story.labels)[np.digitize(time, [0.4, 0.7])])
    cells = ad.AnnData(obs=obs, obsm={f"X_{model}": np.column_stack([places, places])})
    if story.umap:
        cells.obsm[f"X_{model}_umap"] = places
    at = np.linspace(0, 1, N_POINTS)
    beyond = np.maximum(at - 0.4, 0)
    cells.uns["trajectory"] = {
        "options": "{}",
        "roots": np.array([f"{story.cell}-0"]),
        "root_is_proposed": story.root_is_proposed,
        "fates": np.array(story.fates),
        "tree": _tree(story, np.bincount(branch[~far], minlength=3)),
        "curves": np.stack([np.column_stack([at, at, sign * beyond]) for sign in (1, -1)]),
        "arrows": np.column_stack([at, 0 * at, 0.05 + 0 * at, 0 * at]),
    }
    if story.changes:
        cells.uns["changes"], cells.uns["changes_curves"] = _changes(story)
    return cells


def _tree(story: Story, sizes: np.ndarray) -> pd.DataFrame:
    rows = [("trunk", "", 0.0, 0.4, False), *((name, "trunk", 0.4, 1.0, True) for name in story.fates)]
    tree = pd.DataFrame(rows, columns=["segment", "parent", "start", "end", "is_tip"])
    return tree.assign(n_cells=sizes)


def _changes(story: Story) -> tuple[pd.DataFrame, np.ndarray]:
    """The features of each lineage peak one after the other, the best at last."""
    rows, curves = [], []
    at = np.linspace(0, 1, 50)
    for lineage in story.fates:
        for rank, feature in enumerate(story.features):
            peak = 1 - rank / len(story.features)
            curves.append((1 + rank) * np.exp(-(((at - peak) / 0.2) ** 2)))
            numbers = {"statistic": 50.0 - rank, "p_value": 1e-9, "p_adjusted": 1e-8, "explained": 0.8 - 0.1 * rank}
            row = {"lineage": lineage, "rank": rank + 1, "feature": feature, **numbers}
            rows.append(row | {"size": 1.0 + rank, "peak": peak, "direction": "peaks"})
    return pd.DataFrame(rows), np.array(curves, dtype=np.float32)


def _scores(model: str, seed: int, rng: np.random.Generator, story: Story) -> pd.DataFrame:
    rows = []
    for metric, group in (("time_order", ""), ("branch_f1", ""), *(("time_order", label) for label in story.labels)):
        value = MODELS[model] + rng.normal(0, 0.01)
        rows.append(("trajectory", metric, value, "higher", group, False, seed))
    return pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group", "held_out", "seed"])
