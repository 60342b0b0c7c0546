"""Contents: what a run folder or a study folder holds, read once for all sections. Only files; nothing is computed.

    folder -read_contents-> Contents (runs, leaderboard) -> StoredRun.cells, read when first asked for

What cannot be read is left out and said in `problems`, so that one broken file does not cost the page.
"""

import json
import math
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from cellwright.errors import RunError
from cellwright.keys import latent_key, umap_key
from cellwright.report.text import natural
from cellwright.run import Run, RunRecord

LEADERBOARD_TEXT = ["data", "model", "setting", "task", "metric", "better", "group", "status", "reason"]
LEADERBOARD_NUMBERS = ["mean", "sd", "ci_low", "ci_high", "n_seeds", "seconds", "peak_bytes"]
LEADERBOARD_FLAGS = ["held_out", "is_baseline"]
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Map:
    """Two coordinates per cell `(n_obs, 2)`, and what they are: a UMAP or the first two latent dimensions."""

    coordinates: np.ndarray
    is_umap: bool


@dataclass(frozen=True)
class Cells:
    """What the sections read of `cells.h5ad`; never `X`."""

    obs: pd.DataFrame
    map: Map | None
    markers: pd.DataFrame | None
    composition: pd.DataFrame | None
    enrichment: pd.DataFrame | None = None
    places: np.ndarray | None = None  # in the tissue, (n_obs, 2)
    trajectory: dict[str, Any] | None = None
    changes: pd.DataFrame | None = None
    changes_curves: np.ndarray | None = None
    probabilities: np.ndarray | None = None  # of each label, (n_obs, n_labels)


@dataclass
class StoredRun:
    """A run folder and its record."""

    run: Run
    record: RunRecord
    data: str  # the name of the data, as the leaderboard calls it
    problems: list[str] = field(repr=False)

    @property
    def setting(self) -> str:
        """What distinguishes runs of one model within a study; empty where there is one setting."""
        return str(self.record.notes.get("setting") or "")

    @property
    def title(self) -> str:
        """The model's name, with the setting where there is one."""
        return entry_title(self.record.model, self.setting)

    @property
    def label_key(self) -> str | None:
        """The column of `obs` with the labels."""
        return self.record.notes.get("label_key") or self._schema_key("label")

    @property
    def batch_key(self) -> str | None:
        """The column of `obs` with the experimental batches."""
        return self.record.notes.get("batch_key") or self._schema_key("batch")

    @property
    def was_cut_short(self) -> bool:
        """Whether the largest number of epochs ended a stage of training, though there was still something to gain."""
        endings = self.record.notes.get("endings")
        return isinstance(endings, list) and "cap" in endings

    def column(self, name: str | None) -> pd.Series | None:
        """A column of the cells' `obs`, if there are cells and the column is there."""
        if self.cells is None or name is None or name not in self.cells.obs:
            return None
        return self.cells.obs[name]

    def table(self, name: str, text: list[str], numbers: list[str]) -> pd.DataFrame:
        """A CSV file of the run with the named columns; empty where it is absent or unreadable."""
        try:
            return read_table(self.run.path / name, text, numbers)
        except RunError as error:
            self.problems.append(str(error))
            return _empty(text, numbers)

    @cached_property
    def cells(self) -> Cells | None:
        """`cells.h5ad`, None where it is absent or unreadable."""
        path = self.run.path / "cells.h5ad"
        if not path.is_file():
            return None
        try:
            return _read_cells(path, self.record)
        except _UNREADABLE as error:
            self.problems.append(f"cells.h5ad of {self.run.path.name} could not be read: {_first_line(error)}.")
            return None

    def _schema_key(self, role: str) -> str | None:
        try:
            schema = json.loads((self.run.path / "schema.json").read_text())
            return (schema.get(role) or {}).get("key")
        except _UNREADABLE:
            return None


@dataclass
class Contents:
    """A folder as the sections see it. For a single run the leaderboard is its scores, one row each."""

    folder: Path
    runs: list[StoredRun]
    leaderboard: pd.DataFrame
    is_study: bool
    problems: list[str]

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What `study.toml` says; empty where there is none or none that can be read."""
        path = self.folder / "study.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (*_UNREADABLE, UnicodeDecodeError) as error:
            self.problems.append(f"study.toml could not be read: {_first_line(error)}.")
            return {}

    def table(self, name: str, text: list[str], numbers: list[str]) -> pd.DataFrame:
        """A CSV file of the study with the named columns; empty where it is absent or unreadable."""
        try:
            return read_table(self.folder / name, text, numbers)
        except RunError as error:
            self.problems.append(str(error))
            return _empty(text, numbers)

    @cached_property
    def data_names(self) -> list[str]:
        """The data sets, in the order of the leaderboard, then of the runs."""
        return list(dict.fromkeys([*self.leaderboard["data"], *(run.data for run in self.runs)]))

    def shown(self, data: str) -> dict[str, StoredRun]:
        """For every model (with its setting) the finished run with the lowest seed, by title."""
        done = sorted(
            (r for r in self.runs if r.data == data and r.record.status == "done"), key=lambda r: r.record.seed
        )
        first: dict[str, StoredRun] = {}
        for stored in done:
            first.setdefault(stored.title, stored)
        return first

    def label_sizes(self, data: str) -> dict[str, int]:
        """How many cells have each label, from the first run of the data whose cells have labels; natural order."""
        columns = (run.column(run.label_key) for run in self.shown(data).values())
        labels = next((column for column in columns if column is not None), None)
        counts = Counter([] if labels is None else labels.dropna().astype(str))
        return {name: counts[name] for name in sorted(counts, key=natural)}


def read_contents(folder: Path) -> Contents:
    """Read a run folder or a study folder. Raises `RunError` where it is neither."""
    problems: list[str] = []
    if (folder / "run.json").is_file():
        record = Run(folder).record
        stored = StoredRun(Run(folder), record, str(record.data.get("name", "")), problems)
        return Contents(folder, [stored], _scores_as_leaderboard(stored), is_study=False, problems=problems)
    if not (folder / "study.toml").is_file() and not (folder / "leaderboard.csv").is_file():
        raise RunError(
            f"{folder} must be a run folder or a study folder; it has no run.json, study.toml or leaderboard.csv. "
            "Make one with `cellwright fit` or `cellwright compare`."
        )
    leaderboard = _complete(
        read_table(folder / "leaderboard.csv", LEADERBOARD_TEXT + LEADERBOARD_FLAGS, LEADERBOARD_NUMBERS)
    )
    runs = _read_runs(folder / "runs", set(leaderboard["data"]), problems)
    return Contents(folder, runs, leaderboard, is_study=True, problems=problems)


def read_table(path: Path, text: list[str], numbers: list[str]) -> pd.DataFrame:
    """The named columns of a CSV file; a missing file has no rows, a missing column no values. Raises `RunError`.

    Every value is read as text first: a cell type may be called "nan" or "1e5".
    """
    if not path.is_file():
        return _empty(text, numbers)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read as a table ({_first_line(error)}); make it again.") from None
    table = table.reindex(columns=[*text, *numbers], fill_value="").fillna("")
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").astype(float)
    return table


def entry_title(model: str, setting: str) -> str:
    """How a model with its setting is called on the page."""
    return f"{model} ({setting})" if setting else model


def _empty(text: list[str], numbers: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {**{name: pd.Series(dtype=str) for name in text}, **{n: pd.Series(dtype=float) for n in numbers}}
    )


def _complete(leaderboard: pd.DataFrame) -> pd.DataFrame:
    for flag in LEADERBOARD_FLAGS:
        leaderboard[flag] = leaderboard[flag].str.lower().isin(["true", "1", "1.0"])
    return leaderboard


def _read_runs(folder: Path, data_names: set[str], problems: list[str]) -> list[StoredRun]:
    runs = []
    for path in sorted(folder.glob("*/run.json"), key=lambda p: natural(p.parent.name)):
        try:
            record = Run(path.parent).record
        except RunError as error:
            problems.append(str(error))
        else:
            data = _data_name(path.parent.name, record, data_names)
            runs.append(StoredRun(Run(path.parent), record, data, problems))
    return runs


def _data_name(folder: str, record: RunRecord, data_names: set[str]) -> str:
    # the run knows the file that it read; what the study calls the data is in the name of the folder
    name, found, _ = folder.rpartition(f"-{record.model}-")
    return name if found and (name in data_names or not data_names) else str(record.data.get("name", ""))


def _scores_as_leaderboard(stored: StoredRun) -> pd.DataFrame:
    text = ["task", "metric", "better", "group", "held_out"]
    scores = stored.table("scores.csv", text, ["value"]).rename(columns={"value": "mean"})
    if not len(scores):
        scores = scores.reindex([0]).fillna(dict.fromkeys(text, ""))
    record = stored.record
    scores = scores.assign(data=stored.data, model=record.model, setting=stored.setting, is_baseline="", n_seeds=1.0)
    scores = scores.assign(sd=math.nan, ci_low=math.nan, ci_high=math.nan, status=record.status, reason=record.reason)
    return _complete(scores.assign(seconds=record.wall_seconds, peak_bytes=float(record.peak_bytes or math.nan)))


def _read_cells(path: Path, record: RunRecord) -> Cells:
    with h5py.File(path) as file:
        uns, obsm = file.get("uns", {}), file.get("obsm", {})
        names = ("markers", "composition", "enrichment", "changes")
        tables = {name: _if_table(read_elem(uns[name])) if name in uns else None for name in names}
        obs = read_elem(file["obs"])
        places = _read_places(obsm, record.notes.get("coordinates_key"))
        said = obsm.get(f"{record.notes.get('predicted_key')}_probabilities")
        found = {name: read_elem(uns[name]) if name in uns else None for name in ("trajectory", "changes_curves")}
        return Cells(
            obs,
            _read_map(obsm, record.model, len(obs)),
            **tables,
            places=places,
            trajectory=found["trajectory"] if isinstance(found["trajectory"], dict) else None,
            changes_curves=found["changes_curves"] if isinstance(found["changes_curves"], np.ndarray) else None,
            probabilities=np.asarray(said) if isinstance(said, h5py.Dataset) and said.ndim == 2 else None,
        )


def _read_places(obsm: Any, key: str | None) -> np.ndarray | None:
    """Two coordinates of each cell; of three the first two, of one none can be drawn."""
    found = obsm.get(key) if key else None
    if not isinstance(found, h5py.Dataset) or found.ndim != 2 or found.shape[1] < 2:
        return None
    return np.asarray(found[:, :2], dtype=np.float64)


def _read_map(obsm: Any, model: str, n_obs: int) -> Map | None:
    latent = latent_key(model)
    for key in (umap_key(latent), latent):
        found = obsm.get(key)
        if isinstance(found, h5py.Dataset) and found.ndim == 2 and len(found) == n_obs and found.shape[1] >= 2:
            return Map(np.asarray(found[:, :2], dtype=np.float32), is_umap=key != latent)
    return None


def _if_table(value: object) -> pd.DataFrame | None:
    return value if isinstance(value, pd.DataFrame) and len(value) else None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
