"""Latent inference beside the peer (scvi-tools' SCVI): cells in memory -> posterior means, one thread each.

    python benchmarks/inference.py            # 100,000 cells x 2,000 genes, 3 repeats of the pair
    python benchmarks/inference.py --quick    # 20,000 cells, one repeat; under 2 minutes
    python benchmarks/inference.py --peers PYTHON --cells 50000 --genes 20000

The peer is timed with its own minibatch (128) and with ours (2,048); ratios of the whole are to the faster of the two,
and those to its default stand beside. Those of the encoder alone are to the peer's encoder alone.
Each repeat is a process per side; a process times every way several times, after one call, and gives the best.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
from cells import cells_file
from machine import machine, run_side, write_csv
from peers.environment import peers_python
from rich.console import Console
from rich.table import Table

WAYS = ("as a user calls it", "over opened cells", "encoder alone")
PEER_WAYS = ("as a user calls it", "minibatches of 2,048", "encoder alone")
CALLS = 3
ENCODER_CELLS = 20_480  # dense tensors of the peer for these are 164 MB at 2,000 genes


def summary(
    ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]], limits: Sequence[Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A row per side and way; rates are medians over repeats, ratios are of the same repeat."""

    def baseline(repeat: Mapping[str, float], way: str) -> float:
        return repeat[way] if way == "encoder alone" else min(repeat[whole] for whole in PEER_WAYS[:2])

    rows = []
    for side, ways, repeats in (("scvi-tools", PEER_WAYS, theirs), ("cellwright", WAYS, ours)):
        for way in ways:
            ratios = [baseline(their, way) / repeat[way] for repeat, their in zip(repeats, theirs, strict=True)]
            to_default = [their[PEER_WAYS[0]] / repeat[way] for repeat, their in zip(repeats, theirs, strict=True)]
            rows.append(
                {
                    "side": side,
                    "way": way,
                    "repeats": len(repeats),
                    "cells_per_cpu_second": statistics.median(1 / repeat[way] for repeat in repeats),
                    "ratio_min": min(ratios),
                    "ratio_median": statistics.median(ratios),
                    "ratio_max": max(ratios),
                    "ratio_to_default": statistics.median(to_default),
                    "share_of_limit": statistics.median(
                        limit["inference_fp32"] / repeat[way] for repeat, limit in zip(repeats, limits, strict=True)
                    ),
                }
            )
    return rows


def table_of(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """What is printed."""
    table = Table("side", "way", title=title, caption="time is CPU-seconds on one thread")
    for name in ("cells / CPU-s", "times the faster peer (min to max)", "times its default", "of limit"):
        table.add_column(name, justify="right")
    for row in rows:
        ratio = f"{row['ratio_median']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
        rate, share = f"{row['cells_per_cpu_second']:,.0f}", f"{row['share_of_limit']:.0%}"
        table.add_row(row["side"], row["way"], rate, ratio, f"{row['ratio_to_default']:.2f}", share)
    return table


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", help="interpreter of an environment with peers/requirements.txt; made if not given")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"), help="cells, environment and CSV")
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20,000 cells, one repeat")
    flags = parser.parse_args()
    n_obs, repeats = (20_000, 1) if flags.quick else (flags.cells, flags.repeats)
    peers = peers_python(flags.peers, flags.folder / "peers")
    data = cells_file(flags.folder, n_obs, flags.genes)
    values = anndata.read_h5ad(data).X
    density = values.nnz / values.shape[0] / values.shape[1]
    del values  # the sides need the memory
    job = {"data": str(data), "repeats": CALLS, "encoder_cells": ENCODER_CELLS}
    products = {"n_vars": flags.genes, "batch_size": 2_048, "heads": 1, "density": density}
    limits, theirs, ours = [], [], []
    for _ in range(repeats):
        limits.append(run_side("limit.py", products))
        theirs.append(run_side("peers/scvi_inference.py", job, python=peers))
        ours.append(run_side("ours/inference.py", job))
    about = {**machine(), **theirs[0].pop("versions"), **ours[0].pop("versions")}
    rows = summary(ours, theirs, limits)
    write_csv(flags.folder / "inference.csv", [{**row, "n_obs": n_obs, "n_vars": flags.genes} for row in rows], about)
    title = f"{n_obs:,} cells x {flags.genes:,} genes: {', '.join(about.values())}"
    Console(width=150).print(table_of(rows, title))


if __name__ == "__main__":
    main()
