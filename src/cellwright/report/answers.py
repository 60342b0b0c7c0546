"""Answers: what each classifier said of held-out cells, pooled over its runs, for the sections that look closer.

    runs of a model (seeds, folds) -cells.h5ad, split.csv-> their test cells -> Answers: labels, probabilities, unsure

With folds every cell is there once; with seeds a cell counts as often as it was held out.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.standing import best_first


@dataclass(frozen=True)
class Answers:
    """The labelled held-out cells of one model: `codes (n_obs,)` are the columns of their labels, -1 for none."""

    title: str
    labels: list[str]
    codes: np.ndarray
    probabilities: np.ndarray  # (n_obs, n_labels), as they were given out
    answered: np.ndarray  # (n_obs,) bool
    has_threshold: bool  # whether a cell could be left unanswered
    temperatures: np.ndarray  # (n_obs,) of the run that each cell is from
    n_runs: int

    @property
    def predicted(self) -> np.ndarray:
        """The column of the most probable label, whatever the threshold, (n_obs,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable label, (n_obs,)."""
        return self.probabilities.max(axis=1)


def answers_of(contents: Contents, data: str) -> list[Answers]:
    """The answers of every classifier of the data, in the order of the leaderboard; runs without any are left out."""
    found = []
    for first in best_first(contents, data):
        runs = [run for run in contents.runs if run.data == data and run.title == first.title]
        parts = [part for run in runs if run.record.status == "done" and (part := _of_run(run)) is not None]
        # a class that only some runs know is a class of another study
        parts = [part for part in parts if part.labels == parts[0].labels]
        if parts:
            found.append(_pooled(parts))
    return found


def _of_run(run: StoredRun) -> Answers | None:
    notes, cells = run.record.notes, run.cells
    predicted, labels = run.column(notes.get("predicted_key")), run.column(run.label_key)
    if cells is None or cells.probabilities is None or predicted is None or labels is None:
        return None
    names = [str(name) for name in predicted.astype("category").cat.categories][: cells.probabilities.shape[1]]
    codes = pd.Categorical(labels.astype(str).where(labels.notna()), categories=names).codes.astype(np.int64)
    rows = np.flatnonzero(_is_test(run, cells.obs) & (codes >= 0))
    if not len(rows) or len(names) != cells.probabilities.shape[1]:
        return None
    return Answers(
        run.title,
        names,
        codes[rows],
        cells.probabilities[rows],
        predicted.astype(str).isin(names).to_numpy()[rows],
        bool(notes.get("threshold")),
        np.full(len(rows), float(notes.get("temperature", 1.0))),
        1,
    )


def _is_test(run: StoredRun, obs: pd.DataFrame) -> np.ndarray:
    """By `split.csv`, for a column of that name may be the user's own."""
    split = run.table("split.csv", ["obs", "split"], []).set_index("obs")["split"]
    return (split[~split.index.duplicated()].reindex(obs.index.astype(str)) == "test").to_numpy()


def _pooled(parts: list[Answers]) -> Answers:
    def every(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        parts[0],
        codes=every("codes"),
        probabilities=every("probabilities"),
        answered=every("answered"),
        temperatures=every("temperatures"),
        has_threshold=any(part.has_threshold for part in parts),
        n_runs=len(parts),
    )
