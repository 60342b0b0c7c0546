"""Trajectory: in whose latent do cells stand in the order in which they develop, and is a planted tree found.

    python benchmarks/trajectory.py                                # simulated trees, then 3 seeds of the real cells
    python benchmarks/trajectory.py --part simulated               # planted time, branches and fates
    python benchmarks/trajectory.py --part real --data worm_embryo_time --seeds 1
    python benchmarks/trajectory.py --part scale --cells 100000    # time and memory of one trajectory
    CELLWRIGHT_DATA=FOLDER python benchmarks/trajectory.py         # where the catalogue looks first

The real part is `cellwright trajectory`, once with each pseudotime; what is finished is found again. The rows are
written to `results/trajectory.csv`, each part and data set in the place of its own. The oracle of the simulated part
gives each cell's true latent to the nearest point of the planted path. For order that is what can be known; it is not
the best of all branch F1, which it does not aim at.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from machine import HERE, machine, write_csv
from rich.console import Console
from scipy.stats import spearmanr

import cellwright as cw
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.metrics.branch_f1 import branch_f1
from cellwright.study.statistics import interval
from cellwright.tasks.trajectory import TrajectoryOptions, trajectory

CHOSEN = PreprocessOptions(n_top_genes=2000, hvg_flavor="seurat")
PSEUDOTIMES = ("geodesic", "diffusion")
COLUMNS = ("part", "data", "model", "pseudotime", "metric", "group", "mean", "ci_low", "ci_high", "n_seeds")


@dataclass(frozen=True)
class Cells:
    """A data set: keys, root, what is known of its order, genes, and models."""

    keys: dict[str, str]
    root: str | None = None  # a column of obs that is true for it, or a label
    orders: tuple[str, ...] = ()
    preprocessing: PreprocessOptions | None = CHOSEN
    models: tuple[str, ...] = (
        "pca:n_latent=10",
        "pca:n_latent=30",
        "pca_unscaled:n_latent=30",
        "ae",
        "vae:n_latent=10",
    )
    where: str | None = None  # a column of obs that is true for the cells that are used
    bridge: bool = False  # then without diffusion pseudotime, which takes no bridges


ERYTHROID = "7MEP<6Ery<5Ery<4Ery<3Ery<2Ery<1Ery"
MYELOID = "9GMP<10GMP<14Mo<15Mo"
STAGES = "zygote<early2cell<mid2cell<late2cell<4cell<8cell<16cell<early_blastocyst<mid_blastocyst<late_blastocyst"
DATA = {
    "worm_embryo_time": Cells({"label_key": "cell_type", "time_key": "embryo_time"}),
    "paul15_myeloid": Cells({"label_key": "cluster"}, "is_root", (ERYTHROID, MYELOID)),
    "klein_mesc_timecourse": Cells({"label_key": "time_point", "time_key": "day"}, preprocessing=None),
    "deng_mouse_embryo": Cells(
        {"label_key": "stage"}, "zygote", (STAGES,), None, ("pca:n_latent=10", "pca:n_latent=30", "ae"), "is_embryo",
        bridge=True,
    ),
}  # fmt: skip


def real(name: str, seeds: int, folder: Path, console: Console) -> Iterator[dict[str, Any]]:
    """A row per model, pseudotime and score."""
    given = DATA[name]
    cells = cw.load(name)
    if given.where:
        cells = cells[cells.obs[given.where].astype(bool)].copy()
    root = given.root
    if root in cells.obs:
        root = str(cells.obs_names[cells.obs[root].astype(bool)][0])
    for pseudotime in PSEUDOTIMES[:1] if given.bridge else PSEUDOTIMES:
        board = cw.trajectory_study(
            cells,
            cw.TrajectoryStudyOptions(models=given.models, seeds=seeds, orders=given.orders),
            out=folder / name / pseudotime,
            keys=OpenOptions(**given.keys),
            trajectory=TrajectoryOptions(root=root, pseudotime=pseudotime, bridge=given.bridge),
            preprocessing=given.preprocessing,
            name=name,
            command="benchmarks/trajectory.py",
            watch=lambda outcome: console.print(f"{outcome.arm.model} {outcome.arm.setting} seed {outcome.seed}"),
        )
        for row in board.itertuples():
            if row.status == "failed":
                console.print(f"[red]{row.model}: {row.reason}")
                continue
            model = f"{row.model}:{row.setting}" if row.setting else row.model
            values = (row.mean, row.ci_low, row.ci_high)
            yield line("real", name, model, pseudotime, row.metric, row.group, *values, seeds)


def simulated(seeds: int) -> Iterator[dict[str, Any]]:
    """Planted time, branches and fates, from counts through the components, beside what the oracle reaches."""
    for n_branches, shares in ((2, (0.4, 0.3, 0.3)), (3, (0.4, 0.3, 0.2, 0.1))):
        for distance in (4.0, 8.0, 12.0, 20.0):
            asked = cw.SimulateOptions(
                n_obs=2_000, n_branches=n_branches, label_shares=shares, label_distance=distance
            )  # fmt: skip
            found = [_planted(asked, seed) for seed in range(seeds)]
            for metric in found[0]:
                mean, _, low, high = interval(np.array([one[metric] for one in found]))
                data = f"{n_branches} branches, distance {distance:g}"
                yield line("simulated", data, "pca:n_latent=30", "geodesic", metric, "", mean, low, high, seeds)


def _planted(asked: cw.SimulateOptions, seed: int) -> dict[str, float]:
    truth = cw.simulate(asked, seed)
    source = cw.open_data(truth.adata)
    model = cw.build("pca", source.schema, n_latent=30)
    cw.fit(model, source, cw.FitOptions(seed=seed), progress=False)
    cells = cw.reduce(model, source)
    first = str(cells.obs_names[np.argmin(truth.pseudotime)])
    trajectory(cells, TrajectoryOptions(root=first), use_rep="X_pca", label_key="label", seed=seed)
    names = [str(name) for name in cells.uns["trajectory"]["fates"]]
    known = [f"branch_{k}" for k in range(1, asked.n_branches + 1)]
    out = {
        "time, Spearman": spearmanr(cells.obs["pseudotime"], truth.pseudotime).statistic,
        "ends found": float(sorted(names) == known),
        "branch F1": branch_f1(truth.branch, cells.obs["branch"].to_numpy()),
        **_oracle(truth),
    }
    if sorted(names) == known:
        share = np.bincount(truth.branch)[1:] / (truth.branch > 0).sum()
        planted = np.where((truth.branch == 0)[:, None], share, np.eye(len(known))[truth.branch - 1])
        fates = cells.obsm["fates"][:, [names.index(name) for name in known]]
        out["fates, Pearson"] = float(np.corrcoef(fates.ravel(), planted.ravel())[0, 1])
    return out


def _oracle(truth: Any) -> dict[str, float]:
    """The nearest point of the planted path to each cell's true latent."""
    n_branches = truth.branch.max()
    fork = truth.pseudotime[truth.branch > 0].min()
    along = np.column_stack(
        [
            np.minimum(truth.pseudotime, fork),
            *(np.maximum(truth.pseudotime - fork, 0) * (truth.branch == k) for k in range(1, n_branches + 1)),
        ]
    )
    directions = np.linalg.lstsq(along, truth.latent, rcond=None)[0]
    grid = np.linspace(0, 1, 401)
    on_trunk, beyond = np.minimum(grid, fork)[:, None], np.maximum(grid - fork, 0)[:, None]
    path = np.concatenate([on_trunk * directions[0] + beyond * directions[k] for k in range(1, n_branches + 1)])
    branch = np.concatenate([np.where(grid <= fork, 0, k) for k in range(1, n_branches + 1)])
    apart = (truth.latent**2).sum(axis=1)[:, None] + (path**2).sum(axis=1) - 2 * truth.latent @ path.T
    nearest = apart.argmin(axis=1)
    return {
        "oracle: time, Spearman": spearmanr(np.tile(grid, n_branches)[nearest], truth.pseudotime).statistic,
        "oracle: branch F1": branch_f1(truth.branch, branch[nearest]),
    }


def scale(n_obs: int) -> Iterator[dict[str, Any]]:
    """Seconds and gigabytes of one trajectory, from a latent of 30 dimensions to fates and branches."""
    asked = cw.SimulateOptions(
        n_obs=n_obs, n_vars=20, n_latent=10, n_branches=3, label_shares=(0.4, 0.3, 0.2, 0.1), label_distance=8
    )
    truth = cw.simulate(asked, 0)
    noise = 0.3 * np.random.default_rng(1).normal(size=(n_obs, 20))
    cells = AnnData(obs=truth.adata.obs.copy())
    cells.obsm["X_sim"] = np.hstack([truth.latent, noise]).astype(np.float32)
    first = str(cells.obs_names[np.argmin(truth.pseudotime)])
    started, cpu = time.perf_counter(), time.process_time()
    trajectory(cells, TrajectoryOptions(root=first), use_rep="X_sim", label_key="label")
    found = {
        "seconds": time.perf_counter() - started,
        "CPU-seconds": time.process_time() - cpu,
        "peak memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "time, Spearman": spearmanr(cells.obs["pseudotime"], truth.pseudotime).statistic,
        "branch F1": branch_f1(truth.branch, cells.obs["branch"].to_numpy()),
        "ends": float(len(cells.uns["trajectory"]["fates"])),
    }
    for metric, value in found.items():
        yield line("scale", f"{n_obs} cells", "latent", "geodesic", metric, "", value, np.nan, np.nan, 1)


def line(*values: Any) -> dict[str, Any]:
    row = dict(zip(COLUMNS, values, strict=True))
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("simulated", "real", "scale"))
    parser.add_argument("--data", choices=DATA, nargs="*", default=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/trajectory"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "trajectory.csv")
    given = parser.parse_args()
    console = Console()
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    if given.part in (None, "simulated"):
        rows += simulated(given.seeds)
    if given.part in (None, "real"):
        for name in given.data:
            rows += real(name, given.seeds, given.folder, console)
    if given.part == "scale":
        rows += scale(given.cells)
    table = pd.DataFrame(rows)
    console.print(table[table["group"].isin(["", ERYTHROID, MYELOID, STAGES])].drop(columns="part").to_string())
    about = {**machine(), "cellwright": version("cellwright")}
    before = pd.read_csv(given.out, keep_default_na=False).to_dict("records") if given.out.exists() else []
    done = {(row["part"], row["data"]) for row in rows}
    others = [{name: row[name] for name in COLUMNS} for row in before if (row["part"], row["data"]) not in done]
    write_csv(given.out, [*others, *rows], about)


if __name__ == "__main__":
    main()
