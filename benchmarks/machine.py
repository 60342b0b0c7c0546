"""Machine: what a figure was measured on, one thread per process, and a side of a comparison in a process of its own.

script, arguments -> process with one thread -> its result (JSON);  rows -> CSV, each with machine and date
"""

import csv
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
TOLD_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def machine() -> dict[str, str]:
    """What is printed above a table and stands in every row of a CSV."""
    cpuinfo = Path("/proc/cpuinfo")
    fields = dict(_pairs(cpuinfo.read_text())) if cpuinfo.exists() else {}
    flags = fields.get("flags", fields.get("Features", "")).split()
    family = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    return {
        "cpu": fields.get("model name", platform.processor() or platform.machine()) + family,
        "cores": str(os.cpu_count()),
        "flags": " ".join(flag for flag in TOLD_FLAGS if flag in flags),
        "system": platform.system(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def run_side(script: str, arguments: Mapping[str, Any], *, python: str = sys.executable, **environment: str) -> Any:
    """Run a script of this folder in a process of its own with one thread; what it hands to `answer`.

    What it prints is shown only if it fails: then the benchmark ends with it.
    """
    threads = dict.fromkeys(THREAD_VARIABLES, "1")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        done = subprocess.run(
            [python, str(HERE / script), json.dumps(dict(arguments)), str(result)],
            env={**os.environ, **threads, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not result.exists():
            sys.exit(f"{script} must end with a result; it ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return json.loads(result.read_text())


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> None:
    """Write rows, each with `about` (machine and versions) behind it; beside, then moved into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], *about])
        writer.writeheader()
        writer.writerows({**row, **about} for row in rows)
    beside.replace(path)


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, value in lines]
