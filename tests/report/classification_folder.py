"""A small study of classifiers as `cellwright compare --folds 3` leaves it, made without any model: planted errors.

write_classification(folder, story) -> study.toml, leaderboard.csv, runs/<data>-<model>-<hash>-s<seed>/...

`T` and `NK` are mistaken for each other, `B` for neither; the network is twice as sure as it may be.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellwright.run import Run, RunRecord
from cellwright.study.statistics import summarise

SIZES = (60, 45, 30)
FOLDS = 3
SHARPNESS = {"logistic": 1.0, "gru": 2.0}
MISTAKEN = np.array([[0.7, 0.05, 0.25], [0.05, 0.9, 0.05], [0.3, 0.05, 0.65]])  # true T, B, NK


@dataclass(frozen=True)
class Story:
    """What comes from outside, and what was asked."""

    labels: tuple[str, ...] = ("T", "B", "NK")
    has_threshold: bool = True
    temperature: float = 1.0


def write_classification(folder: Path, story: Story = Story()) -> Path:
    """Write the study; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text('data = "blood"\n[compare]\nseeds = 3\nfolds = 3\n')
    tables = [_write_run(folder, model, seed, story) for model in SHARPNESS for seed in range(FOLDS)]
    summarise(pd.concat(tables)).to_csv(folder / "leaderboard.csv", index=False)
    return folder


def classification_run(study: Path, model: str) -> Path:
    """The folder of one run."""
    return next((study / "runs").glob(f"*-{model}-*-s0"))


def _write_run(folder: Path, model: str, seed: int, story: Story) -> pd.DataFrame:
    notes = {"label_key": "cell_type", "predicted_key": "predicted"}
    if story.has_threshold:
        notes["threshold"] = 0.5
    if story.temperature != 1:
        notes["temperature"] = story.temperature
    record = RunRecord(
        command="cellwright compare blood.h5ad --label-key cell_type --folds 3 --seeds 3",
        model=model,
        options={},
        fit_options={"max_epochs": 5},
        seed=seed,
        data={"name": "blood.h5ad", "shape": [sum(SIZES), 30]},
        versions={"cellwright": "0.1.0"},
        citations=["Cox58"],
        notes=notes,
    )
    run = Run.start(folder / "runs" / f"blood-{model}-1a2b3c4d-s{seed}", record)
    label = {"key": "cell_type", "values": list(story.labels)}
    run.write_text("schema.json", json.dumps({"features": {"rna": ["g1"]}, "label": label}))
    cells = _cells(SHARPNESS[model], seed, story)
    with run.writing("cells.h5ad") as path:
        cells.write_h5ad(path)
    run.write_table("split.csv", pd.DataFrame({"obs": cells.obs_names, "split": _parts(seed)}))
    right = float((cells.obs["predicted"].astype(str) == cells.obs["cell_type"].astype(str)).mean())
    rows = [["classify", metric, right, "higher", "", True, seed] for metric in ("balanced_accuracy", "accuracy")]
    scores = pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group", "held_out", "seed"])
    run.write_table("scores.csv", scores)
    run.finish(wall_seconds=1.0)
    is_baseline = model == "logistic"
    return scores.assign(data="blood", model=model, setting="", is_baseline=is_baseline, seconds=1.0, peak_bytes=4e8)


def _parts(seed: int) -> np.ndarray:
    return np.where(np.arange(sum(SIZES)) % FOLDS == seed, "test", "train")


def _cells(sharpness: float, seed: int, story: Story) -> ad.AnnData:
    """Probabilities near those of the planted mistakes, made sharper by a power."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(3), SIZES)
    said = np.array([rng.choice(3, p=MISTAKEN[code]) for code in codes])
    p = (0.4 + 0.6 * rng.random((len(codes), 1))) * np.eye(3)[said] + rng.dirichlet(np.full(3, 4.0), len(codes))
    p = p ** (sharpness / story.temperature)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    names = [*story.labels, "unsure"] if story.has_threshold else list(story.labels)
    answer = p.argmax(axis=1)
    if story.has_threshold:
        answer = np.where(p.max(axis=1) < 0.5, 3, answer)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(codes, list(story.labels)),
            "predicted": pd.Categorical.from_codes(answer, names),
            "split": "the user's own",
        },
        index=[f"cell{i}" for i in range(len(codes))],
    )
    cells = ad.AnnData(obs=obs)
    cells.obsm["predicted_probabilities"] = p
    return cells
