"""A small study as `cellwright spatial` would leave it, made without any model: two sections, three planted regions.

write_tissue(folder, story) -> study.toml, leaderboard.csv, runs/<data>-<model>-<hash>-s<seed>/...
"""

import json
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellwright.run import Run, RunRecord
from cellwright.study.statistics import summarise

SIDE = 12
MODELS = {"pca": 0.4, "pca_smoothed": 0.6, "spatial_gae": 0.7}  # share of the cells whose domain is their region
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Story:
    """What comes from outside, and what there is."""

    regions: tuple[str, ...] = ("cortex", "white matter", "striatum")
    sections: tuple[str, ...] = ("A1", "B1")
    cell: str = "spot"
    has_labels: bool = True


def write_tissue(folder: Path, story: Story = Story()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text('data = "brain"\n[spatial]\nseeds = 3\n')
    tables = [_write_run(folder, model, seed, story) for model in MODELS for seed in SEEDS]
    summarise(pd.concat(tables)).to_csv(folder / "leaderboard.csv", index=False)
    return folder


def tissue_run(study: Path, model: str) -> Path:
    """The folder of one run."""
    return next((study / "runs").glob(f"*-{model}-*-s0"))


def _write_run(folder: Path, model: str, seed: int, story: Story) -> pd.DataFrame:
    rng = np.random.default_rng([seed, *model.encode()])
    record = RunRecord(
        command="cellwright spatial brain.h5ad --coordinates-key spatial",
        model=model,
        options={"n_latent": 4},
        fit_options={"max_epochs": 5},
        seed=seed,
        data={"name": "brain.h5ad", "shape": [2 * SIDE**2, 30]},
        versions={"cellwright": "0.1.0"},
        citations=["Dong22"],
        notes={
            "label_key": "region" if story.has_labels else None,
            "batch_key": "section",
            "cluster_key": "domain",
            "coordinates_key": "spatial",
            "unlabelled": ["unlabelled"],
            "setting": "",
        },
    )
    run = Run.start(folder / "runs" / f"brain-{model}-1a2b3c4d-s{seed}", record)
    run.write_text("schema.json", json.dumps({"features": {"X": ["g"]}}))
    cells = _cells(model, rng, story)
    with run.writing("cells.h5ad") as path:
        cells.write_h5ad(path)
    scores = _scores(model, seed, rng)
    run.write_table("scores.csv", scores)
    run.finish(wall_seconds=3.0, cpu_seconds=3.0, peak_bytes=10**8, n_epochs=5)
    who = {"data": "brain", "model": model, "setting": "", "is_baseline": model != "spatial_gae"}
    return scores.assign(**who, seconds=3.0, peak_bytes=1e8)


def _cells(model: str, rng: np.random.Generator, story: Story) -> ad.AnnData:
    square = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
    places = np.concatenate([square, square * [1, 2]])
    region = np.tile((square[:, 0] // (SIDE / 3)).astype(int), 2)
    right = rng.random(len(region)) < MODELS[model]
    domain = np.where(right, (region + 1) % 3, rng.integers(0, 4, len(region)))
    label = np.array([*story.regions], dtype=object)[region]
    label[:4] = "unlabelled"
    obs = pd.DataFrame(
        {
            "section": pd.Categorical(np.repeat(story.sections, SIDE**2)),
            "domain": pd.Categorical(domain.astype(str)),
            "domain_refined": pd.Categorical(((region + 1) % 3).astype(str)),
        },
        index=[f"{story.cell}-{i}" for i in range(len(region))],
    )
    if story.has_labels:
        obs["region"] = pd.Categorical(label)
    cells = ad.AnnData(obs=obs, obsm={"spatial": places, f"X_{model}": rng.normal(size=(len(region), 4))})
    cells.uns["enrichment"] = _enrichment(story.regions if story.has_labels else ("0", "1", "2"))
    return cells


def _enrichment(names: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for i, first in enumerate(names):
        for j, second in enumerate(names[i:], start=i):
            z = 25.0 if i == j else -12.0 if j - i > 1 else 0.4
            row = {"first": first, "second": second, "n_edges": 90 + int(z), "expected": 90.0, "effect": z / 10, "z": z}
            rows.append(row | {"p_value": 0.001 if abs(z) > 2 else 0.7, "p_adjusted": 0.002 if abs(z) > 2 else 0.7})
    return pd.DataFrame(rows)


def _scores(model: str, seed: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for task, more in (("cluster", 0.0), ("refine", 0.05)):
        for metric in ("ari", "nmi", "spatial_coherence"):
            value = MODELS[model] + more + rng.normal(0, 0.01)
            rows.append((task, metric, value, "higher", "", False, seed))
    return pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group", "held_out", "seed"])
