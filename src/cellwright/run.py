"""Run: a folder with provenance. Readable without torch.

    Run.start(folder, record) -> files through `writing` (beside, then moved into place) -> finish or fail -> verify

Fitting starts it, tasks and metrics add to it, the report reads it. The files are listed in `FILES`.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cellwright.errors import CellwrightError, RunError

FILES = {
    "run.json": "command, options, seed, versions, device, data fingerprint, cost, status, citations",
    "schema.json": "the schema of the data",
    "model.safetensors": "weights",
    "checkpoint": "what a killed fit resumes from; gone when done",
    "history.csv": "epoch, split, term, value",
    "scores.csv": "task, metric, value, better, group, held_out, seed",
    "cells.h5ad": "latents, clusters, labels and predicted labels of the input's cells, in the input's order; of a "
    "perturbation study the predicted cells",
    "genes.csv": "of a perturbation study: means, change and variance of each gene in real and predicted cells",
    "places.csv": "of a perturbation study: real and predicted cells in the plane of the real ones",
    "gene_pairs.csv": "of a study of imputations: genes that go together, in some cells, measured and imputed",
    "proteins.csv": "of a study of imputations: correlation of each protein with its gene, measured and imputed",
    "forecasts.csv": "of a model that forecasts: a few held-out sequences, seen, hidden and forecast with quantiles",
    "transitions.csv": "of a model that forecasts: which state it says follows which, and which did",
    "ceiling.csv": "of a perturbation study: what real cells score in place of predicted ones, as scores.csv",
    "split.csv": "obs, split",
    "log.txt": "the log",
    "checksums.json": "SHA-256 of every file but itself, the checkpoint and the report",
    "report.html": "one self-contained page",
}
SCORE_COLUMNS = ["task", "metric", "value", "better", "group", "held_out", "seed"]
Status = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` holds."""

    command: str
    model: str  # name in MODELS
    options: dict[str, Any]  # of the model
    fit_options: dict[str, Any]
    seed: int
    data: dict[str, Any]  # fingerprint
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    kernels: str = ""  # numba (compiled) or torch: what evaluates likelihoods and sparse layers on a CPU
    status: Status = "running"
    reason: str = ""  # why it failed
    started: str = ""  # UTC, ISO 8601
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    n_epochs: int = 0
    citations: list[str] = field(default_factory=list)  # keys in docs/references.bib
    notes: dict[str, Any] = field(default_factory=dict)  # what a task or the preprocessing wants remembered


class Run:
    """A run folder. Every file is written beside its place and moved into it, so what existed before stays whole."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def start(cls, path: Path | str, record: RunRecord) -> "Run":
        """Make the folder (a fresh one, or one whose run did not finish) and write `run.json` with status `running`."""
        run = cls(path)
        if run.exists() and run.record.status == "done":
            raise RunError(f"{run.path} already holds a finished run; give another folder, or remove it first.")
        if run.path.is_dir() and any(run.path.iterdir()) and not run.exists():
            raise RunError(
                f"{run.path} must be a new or an empty folder, or a run; it holds other files. Give another."
            )
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(why_not_written(run.path, error)) from None
        run._write_record(replace(record, started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
        return run

    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "run.json").is_file()

    @property
    def record(self) -> RunRecord:
        """`run.json`."""
        try:
            values = json.loads((self.path / "run.json").read_text())
            known = {f.name for f in fields(RunRecord)}
            return RunRecord(**{name: value for name, value in values.items() if name in known})
        except FileNotFoundError:
            raise RunError(
                f"{self.path} must be a run folder; it has no run.json. Make one with `cellwright fit`."
            ) from None
        except (json.JSONDecodeError, TypeError) as error:
            raise RunError(f"{self.path / 'run.json'} cannot be read ({error}); fit again into a new folder.") from None

    def update(self, **values: Any) -> None:
        """Change fields of `run.json`."""
        self._write_record(replace(self.record, **values))

    def note(self, name: str, value: Any) -> None:
        """Remember one thing under `notes` of `run.json`."""
        self.update(notes={**self.record.notes, name: value})

    def finish(self, **values: Any) -> None:
        """Mark as done."""
        self.update(status="done", **values)

    def fail(self, reason: str, **values: Any) -> None:
        """Mark as failed and say why; the checkpoint stays."""
        self.update(status="failed", reason=reason, **values)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path to write `name` to; when the block ends well it is moved into place and its checksum noted."""
        with replacing(self.path / name) as path:
            yield path
        self._note_checksum(name)

    def write_text(self, name: str, text: str) -> None:
        """Write a small text file."""
        with self.writing(name) as path:
            path.write_text(text)

    def log(self, line: str) -> None:
        """Append a line, with the time, to `log.txt`."""
        with (self.path / "log.txt").open("a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        self._note_checksum("log.txt")

    def table(self, name: str) -> pd.DataFrame:
        """A CSV file of the run; empty where it is not there."""
        path = self.path / name
        if not path.exists():
            return pd.DataFrame()
        # a label may be called "1" or "nan"; only values can be missing
        return pd.read_csv(path, dtype={"group": str}, keep_default_na=False, na_values={"value": ["nan", ""]})

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a CSV file of the run."""
        with self.writing(name) as path:
            table.to_csv(path, index=False)

    def add_scores(self, scores: pd.DataFrame) -> None:
        """Add rows to `scores.csv`; a row for the same task, metric, group, held_out and seed replaces the old one."""
        both = pd.concat([self.table("scores.csv"), scores[SCORE_COLUMNS]], ignore_index=True)
        self.write_table(
            "scores.csv", both.drop_duplicates(["task", "metric", "group", "held_out", "seed"], keep="last")
        )

    def verify(self) -> list[str]:
        """Files that differ from `checksums.json`, or are gone."""
        return [n for n, s in self._checksums().items() if not (self.path / n).is_file() or sha256(self.path / n) != s]

    def _write_record(self, record: RunRecord) -> None:
        self.write_text("run.json", json.dumps(asdict(record), indent=1))

    def _checksums(self) -> dict[str, str]:
        path = self.path / "checksums.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _note_checksum(self, name: str) -> None:
        # of this file only: to hash the others again would hide that one of them has changed
        sums = {**self._checksums(), name: sha256(self.path / name)}
        with replacing(self.path / "checksums.json") as path:
            path.write_text(json.dumps(dict(sorted(sums.items())), indent=1))


@contextmanager
def replacing(target: Path | str) -> Iterator[Path]:
    """A temporary path beside `target`, which it replaces in one step when the block ends well; else it is removed.

    Raises `RunError` with the remedy where the folder cannot be written or the disk is full.
    """
    target = Path(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        # without fsync a power cut may leave the new name with the old nothing in it
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    except OSError as error:
        if isinstance(error, CellwrightError):
            raise
        raise RunError(why_not_written(target, error)) from error
    finally:
        # below a path that is no folder there is nothing to remove, and the reason is on its way already
        with suppress(OSError):
            part.unlink()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def why_not_written(target: Path, error: OSError) -> str:
    """The sentence for a file or folder that the system did not let us write."""
    remedies = {
        errno.ENOSPC: "the disk is full. Free some space, or give a folder on another disk.",
        errno.EDQUOT: "the disk quota is used up. Free some space, or give a folder on another disk.",
        errno.EFBIG: "the file would be larger than the system allows. Raise the limit, or give another disk.",
        errno.EACCES: "there is no permission to write there. Give a folder that is yours.",
        errno.EPERM: "there is no permission to write there. Give a folder that is yours.",
        errno.EROFS: "the file system is read-only. Give a folder that can be written.",
        errno.ENOTDIR: "a part of the path is a file, not a folder. Give another path.",
        errno.ENOENT: "its folder is not there. Make the folder first, or give another path.",
        errno.EEXIST: "a file of that name is in the way. Give another path.",
    }
    why = remedies.get(error.errno or 0, f"{error}. Check the disk, or give another folder.")
    return f"{target} could not be written: {why} What was there before is untouched."
