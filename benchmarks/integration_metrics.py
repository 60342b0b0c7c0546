"""Metrics of integration beside the peer (scib-metrics): one embedding -> scIB's metrics and totals, one thread each.

    python benchmarks/integration_metrics.py                   # 20,000 cells x 30 latent dimensions
    python benchmarks/integration_metrics.py --cells 5000 --peers PYTHON
    python benchmarks/integration_metrics.py --no-peer         # against the limit alone: 30 seconds on two cores

Simulated: ten types of unlike sizes, four batches whose shift was taken away for the most part. Each side is a process
of its own that is asked once, as a user would; what it compiles is in its time.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, run_side, write_csv
from peers.environment import SCIB_REQUIREMENTS, peers_python
from rich.console import Console
from rich.table import Table

LIMIT_SECONDS = 30.0
N_LATENT, N_BATCH = 30, 4
SHARES = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01])
LEFT = 0.15  # of the batches' shift, after an integration


def embedding(folder: Path, n_obs: int) -> Path:
    """An embedding with labels and batches, and what it was before; written if it is not there."""
    path = folder / f"embedding-{n_obs}x{N_LATENT}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        types, batches = rng.choice(len(SHARES), n_obs, p=SHARES), rng.integers(0, N_BATCH, n_obs)
        own = rng.normal(size=(n_obs, N_LATENT)) + 1.5 * rng.normal(size=(len(SHARES), N_LATENT))[types]
        shift = rng.normal(size=(N_BATCH, N_LATENT))[batches]
        np.savez(
            path,
            latent=(own + LEFT * shift).astype(np.float32),
            latent_before=(own + shift).astype(np.float32),
            labels=np.char.add("type ", types.astype(str)),
            batches=np.char.add("donor ", batches.astype(str)),
        )
    return path


def costs(sides: Mapping[str, Sequence[Mapping[str, Any]]], n_obs: int) -> list[dict[str, Any]]:
    """A row per side: what the table cost, the median over repeats."""
    rows = []
    for side, repeats in sides.items():
        seconds = {name: statistics.median(r[name] for r in repeats) for name in ("seconds", "cpu_seconds")}
        peak = max(repeat["peak_bytes"] for repeat in repeats)
        rows.append({"side": side, "repeats": len(repeats), **seconds, "peak_bytes": peak, "limit_s": LIMIT_SECONDS})
    return [{**row, "n_obs": n_obs, "n_latent": N_LATENT} for row in rows]


def values(sides: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row per metric: what each side says of the same embedding."""
    said = {side: repeats[0]["values"] for side, repeats in sides.items()}
    # a column with the name of a side alone would be that of its version
    return [{"metric": name, **{f"by {side}": said[side].get(name) for side in said}} for name in said["cellwright"]]


def table_of(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """What is printed."""
    table = Table(title=title, caption=f"one thread each; the limit is {LIMIT_SECONDS:.0f} seconds on two cores")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", help="interpreter of an environment with peers/requirements-scib.txt; else made")
    parser.add_argument("--no-peer", action="store_true", help="our side alone")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"), help="cells, environment and CSV")
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=1)
    flags = parser.parse_args()
    job = {"data": str(embedding(flags.folder, flags.cells))}
    sides: dict[str, list[dict[str, Any]]] = {"cellwright": []}
    if not flags.no_peer:
        peers = peers_python(flags.peers, flags.folder / "peers-scib", SCIB_REQUIREMENTS)
        sides["scib-metrics"] = []
    for _ in range(flags.repeats):
        sides["cellwright"].append(run_side("ours/integration_metrics.py", job))
        if not flags.no_peer:
            one_thread = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            sides["scib-metrics"].append(run_side("peers/scib_integration.py", job, python=peers, XLA_FLAGS=one_thread))
    about = machine()
    for repeats in sides.values():
        about |= repeats[0]["versions"]
    spent, said = costs(sides, flags.cells), values(sides)
    write_csv(flags.folder / "integration_metrics.csv", spent, about)
    write_csv(flags.folder / "integration_metrics_values.csv", said, about)
    console = Console(width=150)
    console.print(table_of(spent, f"{flags.cells:,} cells x {N_LATENT}: {', '.join(about.values())}"))
    console.print(table_of(said, "the same embedding"))


if __name__ == "__main__":
    main()
