"""Training speed beside the peer (scvi-tools' SCVI), at equal curves, one thread each.

    cells -> per case and repeat: limit, peer, cellwright (each in a process of its own, in turn) -> table and CSV

    python benchmarks/training.py                      # all cases, 3 repeats; about 40 minutes per repeat
    python benchmarks/training.py --quick              # two small cases, one repeat; under 2 minutes
    python benchmarks/training.py --cases nb-2000-1024,zinb-2000-128 --repeats 5
    python benchmarks/training.py --peers PYTHON       # of an environment with peers/requirements.txt

Without `--peers` such an environment is made in the work folder. Both sides start from the same weights, see the same
cells, minibatch size, optimiser settings and number of epochs. Time is the CPU-seconds of the process from the start
to the end of an epoch's training pass; imports, compilation (first epoch) and validation are not in it. The README of
this folder says what is equal, what is not, and what the columns mean.
"""

import argparse
import importlib.util
import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import anndata
import numpy as np
from cells import cells_file
from machine import HERE, machine, run_side, write_csv
from peers.environment import peers_python
from rich.console import Console
from rich.table import Table

LEARNING_RATE, ADAM_EPSILON = 1e-3, 1e-8
SHARED = {"n_latent": 10, "n_hidden": 128, "n_layers": 1}
DROPOUT = 0.1
FINAL_SHARE = 3  # the last third of the epochs is compared
KINDS = ("fp32", "bf16")
EQUAL = 1e-3  # the largest relative difference of the ELBO at which curves count as equal


@dataclass(frozen=True)
class Size:
    """Cells of a case and how long they are trained on."""

    n_train: int
    n_validation: int
    n_epochs: int


@dataclass(frozen=True)
class Case:
    """What is trained on what."""

    likelihood: str
    n_vars: int
    batch_size: int

    @property
    def name(self) -> str:
        return f"{self.likelihood}-{self.n_vars}-{self.batch_size}"


@dataclass(frozen=True)
class Variant:
    """A way to run cellwright."""

    name: str
    precision: str
    kernels: str  # the environment variable CELLWRIGHT_KERNELS


CASES = [Case(*parts) for parts in itertools.product(("nb", "zinb"), (2_000, 20_000), (128, 1_024))]
QUICK_CASES = [Case("nb", 2_000, 128), Case("nb", 2_000, 1_024)]
SIZES = {
    (2_000, 128): Size(16_384, 2_048, 12),
    (2_000, 1_024): Size(16_384, 2_048, 24),
    (20_000, 128): Size(8_192, 1_024, 8),
    (20_000, 1_024): Size(8_192, 1_024, 12),
}
QUICK_SIZE = Size(4_096, 1_024, 4)
VARIANTS = [
    Variant("cellwright fp32", "32-true", "auto"),
    Variant("cellwright bf16", "bf16-mixed", "auto"),
    Variant("cellwright fp32, plain torch", "32-true", "torch"),
]
QUICK_VARIANTS = VARIANTS[:2]
PEER = "scvi-tools"


@dataclass(frozen=True)
class Trained:
    """One side of one repeat: CPU-seconds and validation ELBO (nats per cell, lower is better) of every epoch."""

    cpu_seconds: Sequence[float]
    elbo: Sequence[float]

    def cells_per_second(self, n_train: int) -> float:
        """Of the best epoch after the first, which compiles and fills caches: what disturbs only ever adds time."""
        return n_train / min(self.cpu_seconds[1:])

    @property
    def final(self) -> np.ndarray:
        """The ELBO of the last epochs."""
        return np.array(self.elbo[-max(1, len(self.elbo) // FINAL_SHARE) :])


def summary(
    case: Case, n_train: int, runs: Mapping[str, Sequence[Trained]], limits: Sequence[Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A row per side: rates, ratios to the peer of the same repeat, ELBO, share of the limit of the same repeat."""
    rows = []
    peer_rates = [run.cells_per_second(n_train) for run in runs[PEER]]
    peer_curve = np.mean([run.final for run in runs[PEER]], axis=0)
    for side, repeats in runs.items():
        rates = [run.cells_per_second(n_train) for run in repeats]
        ratios = [ours / theirs for ours, theirs in zip(rates, peer_rates, strict=True)]
        pairs = [np.abs(a.final / b.final - 1).max() for a, b in zip(repeats, runs[PEER], strict=True)]
        finals = [float(run.final[-1]) for run in repeats]
        curve = np.mean([run.final for run in repeats], axis=0)
        shares = {
            f"share_of_limit_{kind}": statistics.median(
                rate * limit[f"training_{kind}"] for rate, limit in zip(rates, limits, strict=True)
            )
            for kind in KINDS
        }
        limit_ratios = {
            f"limit_ratio_{kind}": statistics.median(
                1 / limit[f"training_{kind}"] / rate for rate, limit in zip(peer_rates, limits, strict=True)
            )
            for kind in KINDS
        }
        rows.append(
            {
                "case": case.name,
                "side": side,
                "repeats": len(repeats),
                "cells_per_cpu_second": statistics.median(rates),
                "ratio_min": min(ratios),
                "ratio_median": statistics.median(ratios),
                "ratio_max": max(ratios),
                "elbo": statistics.fmean(finals),
                "elbo_spread": (max(finals) - min(finals)) / statistics.fmean(finals),
                "elbo_difference": float(np.abs(curve / peer_curve - 1).max()),
                "elbo_difference_of_means": float(abs(curve.mean() / peer_curve.mean() - 1)),
                "elbo_difference_largest_pair": float(max(pairs)),
                **shares,
                **limit_ratios,
            }
        )
    return rows


def curves(case: Case, runs: Mapping[str, Sequence[Trained]]) -> list[dict[str, Any]]:
    """A row per side, repeat and epoch."""
    return [
        {"case": case.name, "side": side, "repeat": repeat, "epoch": epoch, "cpu_seconds": seconds, "elbo": elbo}
        for side, repeats in runs.items()
        for repeat, run in enumerate(repeats)
        for epoch, (seconds, elbo) in enumerate(zip(run.cpu_seconds, run.elbo, strict=True))
    ]


def our_side() -> ModuleType:
    """The script of our side as a module; its name is taken by this one."""
    spec = importlib.util.spec_from_file_location("our_training", HERE / "ours" / "training.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_case(
    case: Case, size: Size, repeats: int, variants: Sequence[Variant], peers: str, folder: Path
) -> tuple[dict[str, list[Trained]], list[dict[str, float]], dict[str, str]]:
    """All repeats of a case, the sides in turn; and the limits measured beside each, and the versions."""
    data = cells_file(folder, size.n_train + size.n_validation, case.n_vars)
    values = anndata.read_h5ad(data).X
    noise = folder / "noise.npy"
    np.save(noise, our_side().validation_noise(np.arange(size.n_train, values.shape[0]), SHARED["n_latent"]))
    job = {
        "data": str(data),
        "n_train": size.n_train,
        "epochs": size.n_epochs,
        "batch_size": case.batch_size,
        "likelihood": case.likelihood,
        "noise": str(noise),
        **{f"{name}_weights": str(folder / f"{name}.npz") for name in ("initial", "final")},
    }
    # the peer's defaults are eps 0.01, weight decay 1e-6 and a KL that warms up over 400 epochs
    plan = {"lr": LEARNING_RATE, "eps": ADAM_EPSILON, "weight_decay": 0.0, "n_epochs_kl_warmup": None}
    theirs = {**job, "model": {**SHARED, "dropout_rate": DROPOUT}, "plan": plan}
    ours = {**job, "model": {**SHARED, "dropout": DROPOUT, "learning_rate": LEARNING_RATE}}
    products = {"n_vars": case.n_vars, "batch_size": case.batch_size, "heads": 1 + (case.likelihood == "zinb")}
    density = values.nnz / values.shape[0] / values.shape[1]
    runs: dict[str, list[Trained]] = {side: [] for side in (PEER, *(variant.name for variant in variants))}
    limits, versions = [], {}
    for seed in range(repeats):
        limits.append(run_side("limit.py", {**products, "density": density}))
        result = run_side("peers/scvi_training.py", {**theirs, "seed": seed}, python=peers)
        runs[PEER].append(Trained(result["cpu_seconds"], result["elbo"]))
        versions |= result["versions"]
        for variant in variants:
            ours_result = run_side(
                "ours/training.py",
                {**ours, "seed": seed, "precision": variant.precision},
                CELLWRIGHT_KERNELS=variant.kernels,
            )
            runs[variant.name].append(Trained(ours_result["cpu_seconds"], ours_result["elbo"]))
            versions |= ours_result["versions"]
            check_same_elbo(ours_result["elbo_of_peer"], result["elbo"][-1])
    return runs, limits, versions


def check_same_elbo(ours: float, theirs: float) -> None:
    """Both sides must mean the same by the ELBO of the same weights; bf16 is not used in this check."""
    if abs(ours / theirs - 1) > 1e-5:
        raise SystemExit(
            f"the ELBO of the peer's final weights must be the same on both sides; it is {ours} and {theirs}."
        )


def print_table(rows: Sequence[Mapping[str, Any]], about: str) -> None:
    """The rows of one case."""
    first = rows[0]
    title = (
        f"{first['case']}, {about}\n"
        f"limit: the products alone are {first['limit_ratio_fp32']:.1f} times the peer in fp32, "
        f"{first['limit_ratio_bf16']:.1f} in bf16"
    )
    caption = f"CPU-seconds on one thread; ELBO in nats per cell; ! is above {EQUAL:.1%}"
    table = Table("side", title=title, caption=caption)
    names = (
        "cells / CPU-s",
        "times the peer (min to max)",
        "ELBO",
        "seeds' spread",
        "difference of means",
        "largest",
        "of limit fp32",
        "bf16",
    )
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["side"],
            f"{row['cells_per_cpu_second']:,.0f}",
            f"{row['ratio_median']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})",
            f"{row['elbo']:.2f}",
            f"{row['elbo_spread']:.3%}",
            f"{row['elbo_difference_of_means']:.3%}",
            f"{row['elbo_difference']:.3%}" + ("" if row["elbo_difference"] <= EQUAL else " !"),
            f"{row['share_of_limit_fp32']:.0%}",
            f"{row['share_of_limit_bf16']:.0%}",
        )
    Console(width=150).print(table)


def main() -> None:
    """Run what the flags ask for; CSVs are written after every case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", help="interpreter of an environment with peers/requirements.txt; made if not given")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"), help="cells, environment and CSVs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", help="comma-separated names, such as nb-2000-128")
    parser.add_argument("--epochs", type=int, help="in every case; by default 8 to 24")
    parser.add_argument("--quick", action="store_true", help="two small cases, one repeat")
    flags = parser.parse_args()
    cases = QUICK_CASES if flags.quick else CASES
    if flags.cases:
        cases = [case for case in CASES if case.name in flags.cases.split(",")]
    peers = peers_python(flags.peers, flags.folder / "peers")
    about, rows, points = machine(), [], []
    for case in cases:
        size = QUICK_SIZE if flags.quick else SIZES[case.n_vars, case.batch_size]
        size = replace(size, n_epochs=flags.epochs or size.n_epochs)
        repeats = 1 if flags.quick else flags.repeats
        variants = QUICK_VARIANTS if flags.quick else VARIANTS
        runs, limits, versions = run_case(case, size, repeats, variants, peers, flags.folder)
        rows += [{**row, **asdict(size)} for row in summary(case, size.n_train, runs, limits)]
        points += curves(case, runs)
        write_csv(flags.folder / "training.csv", rows, {**about, **versions})
        write_csv(flags.folder / "training_curves.csv", points, {**about, **versions})
        print_table([row for row in rows if row["case"] == case.name], ", ".join([*about.values(), str(versions)]))


if __name__ == "__main__":
    main()
