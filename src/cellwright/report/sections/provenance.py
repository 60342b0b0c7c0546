"""Provenance: what was run, on what, with what, at what cost, and whether the files are still those that were written.

run.json and checksums.json of every run -> a row per run, options per model, data, versions, command
"""

import json
import math
from collections.abc import Iterable, Mapping

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.text import duration, listed, natural, short, size

_LONG = 300


def context(contents: Contents) -> Context | None:
    """Tables over all runs; None without any run."""
    if not contents.runs:
        return None
    return {
        "runs": [_run(run) for run in sorted(contents.runs, key=lambda run: (natural(run.title), run.record.seed))],
        "options": _options(contents.runs),
        "data": _distinct(_pairs(run.record.data) for run in contents.runs),
        "versions": _versions(contents.runs),
        "commands": list(dict.fromkeys(short(run.record.command, 1000) for run in contents.runs if run.record.command)),
    }


SECTION = Section("Provenance", context)


def checked(run: StoredRun) -> str:
    """Whether the files of a run are those of its checksums. The page itself is made anew and does not count."""
    if not (run.run.path / "checksums.json").is_file():
        return "none"
    try:
        changed = [name for name in run.run.verify() if name != "report.html"]
    except (OSError, ValueError, AttributeError):
        return "unreadable"
    return f"changed: {listed([short(name, 40) for name in changed], 4)}" if changed else "verified"


def _run(run: StoredRun) -> Context:
    record = run.record
    return {
        "name": short(run.run.path.resolve().name, 80),
        "model": short(run.title, 90),
        "held_out": _held_out(run),
        "seed": record.seed,
        "status": record.status,
        "reason": short(record.reason, _LONG),
        "n_epochs": record.n_epochs,
        "wall_seconds": record.wall_seconds,
        "wall": duration(record.wall_seconds),
        "cpu_seconds": record.cpu_seconds,
        "cpu": duration(record.cpu_seconds),
        "peak_bytes": record.peak_bytes or math.nan,
        "memory": size(record.peak_bytes),
        "device": short(record.device, 40),
        "checksums": checked(run),
    }


def _held_out(run: StoredRun) -> str:
    """The labels whose treated cells a run of a perturbation study was not trained on."""
    labels = run.record.notes.get("hold_out")
    return f"{listed([short(label, 40) for label in labels])} held out" if isinstance(labels, list) and labels else ""


def _options(runs: list[StoredRun]) -> list[Context]:
    """The options of each model: those that differ from the defaults where the run noted them, else all."""
    found: dict[str, Context] = {}
    for run in runs:
        changed = run.record.notes.get("changed_options")
        everything = {**run.record.options, **run.record.fit_options}
        shown = changed if isinstance(changed, dict) else everything
        found.setdefault(run.title, {
            "model": short(run.title), "pairs": _pairs(shown), "only_changed": isinstance(changed, dict),
        })  # fmt: skip
    return list(found.values())


def _versions(runs: list[StoredRun]) -> list[tuple[str, str]]:
    """Every package with its version, or with all of them where runs differ."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.record.versions.items():
            found.setdefault(short(name), {})[short(version)] = None
    return [(name, " / ".join(found[name])) for name in sorted(found)]


def _distinct(lists: Iterable[list[tuple[str, str]]]) -> list[list[tuple[str, str]]]:
    return [list(pairs) for pairs in dict.fromkeys(tuple(pairs) for pairs in lists) if pairs]


def _pairs(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(short(name.replace("_", " ")), short(_plain(value), _LONG)) for name, value in values.items()]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
