"""Loading: shuffled minibatches from memory and from disk, beside the loaders that others use; one thread each.

    python benchmarks/loading.py                      # 200,000 cells x 2,000 genes, 3 repeats; about 15 minutes
    python benchmarks/loading.py --quick              # 20,000 cells, one repeat
    python benchmarks/loading.py --cells 1000000 --genes 2000 --seconds 20 --peers PYTHON --no-peers

Measured are passes over the cells without a model, with the files in the page cache: cells per second of CPU time (all
threads) and of the clock, and the peak of resident memory, libraries included (about 350 MB). Every case is a process
of its own; in a repeat all cases take turns, and the median over repeats is shown. The cells lie sorted by type
(`atlas.py`).

The peers' environment is made from `peers/requirements.txt`, or given. annbatch is measured where it is installed in it
(it needs Python 3.12). What is handed out differs: cellwright's
minibatch holds CSR rows, batch, label, covariates and row numbers; scvi-tools' and AnnLoader's are dense.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlas import write_atlas, write_gzip
from machine import machine, run_side, write_csv
from peers.environment import peers_python
from rich.console import Console
from rich.table import Table

import cellwright as cw

BATCH_SIZES = (128, 1024)
PEERS = (
    "scvi-tools, in memory",
    "scvi-tools, backed",
    "AnnLoader, backed",
    "scDataset, backed",
    "annbatch, own store",
)


def cases(
    folder: Path, n_obs: int, n_vars: int, peers: str | None
) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Name, job, and further arguments of `run_side`; the files are made where they are not there."""
    plain = write_atlas(folder / f"atlas-{n_obs}x{n_vars}.h5ad", n_obs, n_vars)
    gzip, store = write_gzip(plain), plain.with_suffix(".zarr")
    if not store.exists():
        cw.convert([plain], store)
    ours = {"script": "ours/loading.py"}
    yield "cellwright, in memory", {"data": str(plain), "in_memory": True}, ours
    yield "cellwright, .h5ad", {"data": str(plain), "in_memory": False}, ours
    yield "cellwright, .h5ad gzip", {"data": str(gzip), "in_memory": False}, ours
    yield "cellwright, converted", {"data": str(store), "in_memory": False}, ours
    if peers is not None:
        for name in PEERS:
            yield name, {"data": str(plain), "loader": name}, {"script": "peers/loading.py", "python": peers}


def summary(found: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row per case and size of minibatch: medians over repeats."""
    return [
        {
            "loader": name,
            "batch_size": batch_size,
            "repeats": len(repeats),
            **{
                rate: statistics.median(repeat[rate] for repeat in repeats)
                for rate in ("cells_per_cpu_second", "cells_per_second", "peak_bytes")
            },
        }
        for (name, batch_size), repeats in found.items()
    ]


def table_of(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """What is printed."""
    table = Table(
        "loader", title=title, caption="shuffled, files in the page cache; time is CPU-seconds of all threads"
    )
    for name in ("minibatch", "cells / CPU-s", "cells / s", "peak MB"):
        table.add_column(name, justify="right")
    for row in rows:
        rates = [f"{row[rate]:,.0f}" for rate in ("cells_per_cpu_second", "cells_per_second")]
        table.add_row(row["loader"], str(row["batch_size"]), *rates, f"{row['peak_bytes'] / 2**20:,.0f}")
    return table


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", help="interpreter of an environment with peers/requirements.txt; made if not given")
    parser.add_argument("--no-peers", action="store_true", help="cellwright alone")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"), help="cells, environment and CSV")
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of a case, after which it ends")
    parser.add_argument("--quick", action="store_true", help="20,000 cells, one repeat of 2 seconds")
    flags = parser.parse_args()
    n_obs, repeats, seconds = (20_000, 1, 2) if flags.quick else (flags.cells, flags.repeats, flags.seconds)
    peers = None if flags.no_peers else peers_python(flags.peers, flags.folder / "peers")
    jobs = list(cases(flags.folder, n_obs, flags.genes, peers))
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    about = machine()
    for _ in range(repeats):
        for name, job, how in jobs:
            for batch_size in BATCH_SIZES:
                answer = run_side(**how, arguments={**job, "batch_size": batch_size, "seconds": seconds})
                if answer is not None:
                    about |= answer.pop("versions")
                    found.setdefault((name, batch_size), []).append(answer)
    rows = summary(found)
    write_csv(flags.folder / "loading.csv", [{**row, "n_obs": n_obs, "n_vars": flags.genes} for row in rows], about)
    told = ", ".join([*machine().values(), *(f"{name} {about[name]}" for name in about if name not in machine())])
    Console(width=150).print(table_of(rows, f"{n_obs:,} cells x {flags.genes:,} genes: {told}"))


if __name__ == "__main__":
    main()
