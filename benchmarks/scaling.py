"""Scaling: what a cell costs in training, against the number of cells and of genes; in memory and streamed.

    python benchmarks/scaling.py                       # to 1,000,000 cells and 20,000 genes; 20 minutes, 4 GB
    python benchmarks/scaling.py --quick               # to 30,000 cells and 2,000 genes
    python benchmarks/scaling.py --cells 10000,1000000 --genes 500,20000 --batch-size 1024 --repeats 3

A case is a `fit` of the default VAE in a process of its own with one thread: the check of all values, epochs over nine
tenths of the cells and validation on the last. Small files are passed several times, so that every case sees about
100,000 cells or more. Time is of the whole `fit`, after one on 2,100 cells that loads libraries and compiles; the peak
of memory is of the process. The least of the repeats is shown, as what disturbs a process only adds time.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlas import write_atlas
from machine import machine, run_side, write_csv
from rich.console import Console
from rich.table import Table

import cellwright as cw

STORES = {"memory": (".h5ad", True), ".h5ad": (".h5ad", False), "converted": (".zarr", False)}
SEEN_CELLS = 100_000  # at least, by a case
GENES, CELLS = 2_000, 10_000  # while the other varies


def cases(folder: Path, cells: Sequence[int], genes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Sizes and store of each case; the files are made where they are not there."""
    sizes = dict.fromkeys([*((n_obs, GENES) for n_obs in cells), *((CELLS, n_vars) for n_vars in genes)])
    for n_obs, n_vars in sizes:
        plain = write_atlas(folder / f"atlas-{n_obs}x{n_vars}.h5ad", n_obs, n_vars)
        if not plain.with_suffix(".zarr").exists():
            cw.convert([plain], plain.with_suffix(".zarr"))
        for store, (suffix, in_memory) in STORES.items():
            yield {
                "n_obs": n_obs,
                "n_vars": n_vars,
                "store": store,
                "data": str(plain.with_suffix(suffix)),
                "in_memory": in_memory,
                "epochs": max(1, SEEN_CELLS // n_obs),
            }


def summary(found: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]) -> list[dict[str, Any]]:
    """A row per case: the least of the repeats, and the cost beside that of the first size in memory."""
    rows = []
    for job, repeats in found:
        least = {
            name: min(repeat[name] for repeat in repeats)
            for name in ("cpu_seconds_per_million", "seconds_per_million", "peak_bytes")
        }
        rows.append({**{name: job[name] for name in ("n_obs", "n_vars", "store")}, "repeats": len(repeats), **least})
    first = {row["n_vars"]: row["cpu_seconds_per_million"] for row in reversed(rows) if row["store"] == "memory"}
    return [{**row, "cost_to_smallest": row["cpu_seconds_per_million"] / first[row["n_vars"]]} for row in rows]


def table_of(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """What is printed."""
    table = Table("cells", "genes", "store", title=title, caption="cost is of CPU-seconds, one thread")
    for name in ("CPU-s / million cells", "s / million cells", "cost to that of fewest cells in memory", "peak MB"):
        table.add_column(name, justify="right")
    for row in rows:
        costs = [f"{row[name]:,.1f}" for name in ("cpu_seconds_per_million", "seconds_per_million")]
        peak = f"{row['peak_bytes'] / 2**20:,.0f}"
        table.add_row(
            f"{row['n_obs']:,}", f"{row['n_vars']:,}", row["store"], *costs, f"{row['cost_to_smallest']:.2f}", peak
        )
    return table


def numbers(text: str) -> list[int]:
    """`10000,1000000`."""
    return [int(part) for part in text.split(",") if part]


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"), help="cells and CSV")
    parser.add_argument("--cells", type=numbers, default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--genes", type=numbers, default=[500, 1_000, 2_000, 5_000, 20_000])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10,000 and 30,000 cells, 500 and 2,000 genes")
    flags = parser.parse_args()
    cells, genes = ([10_000, 30_000], [500, 2_000]) if flags.quick else (flags.cells, flags.genes)
    jobs = list(cases(flags.folder, cells, genes))
    answers: list[list[dict[str, Any]]] = [[] for _ in jobs]
    for _ in range(flags.repeats):
        for job, of_job in zip(jobs, answers, strict=True):
            of_job.append(run_side("ours/scaling.py", {**job, "batch_size": flags.batch_size}))
    about = machine() | answers[0][0]["versions"]
    rows = summary(list(zip(jobs, answers, strict=True)))
    write_csv(flags.folder / "scaling.csv", [{**row, "batch_size": flags.batch_size} for row in rows], about)
    title = f"minibatch {flags.batch_size:,}: {', '.join(about.values())}"
    Console(width=150).print(table_of(rows, title))


if __name__ == "__main__":
    main()
