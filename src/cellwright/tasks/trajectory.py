"""Trajectory: where cells come from, in which order they stand, where they part and where they end.

    obsm[use_rep] (n_obs, n_latent) -> nearest neighbours -> latent smoothed along them -> neighbours again
    -> pseudotime from a root -> tips and forks of the skeleton -> transitions, forward -> fates -> branches

The root is a cell, a kind of cells or the earliest time; without any it is one end of the graph, and that is said.
Nothing is quadratic in the cells.

References: [Setty19; Lange22] the way from neighbours to fates; each step's own are in `dynamics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field, ValidationInfo, field_validator
from scipy import sparse

from cellwright.core.options import Options
from cellwright.dynamics.branches import branches
from cellwright.dynamics.cell_graph import CellGraph, bridged, reconnected, skeleton, smoothed
from cellwright.dynamics.fates import fates
from cellwright.dynamics.geodesic import geodesic, to_unit
from cellwright.dynamics.lineage_tree import LineageTree, lineage_tree, maxima
from cellwright.dynamics.transitions import SCHEMES, over_bridges
from cellwright.dynamics.transport import transport
from cellwright.errors import DataError, MissingKey, OptionError
from cellwright.metrics.labels import label_name
from cellwright.tasks.diffusion_pseudotime import diffusion_pseudotime
from cellwright.tasks.lineage_ends import (
    around,
    ends_of,
    named,
    roots_of,
    rows_of_label,
    rows_of_root,
    unused,
    warn_of_no_end,
    warn_of_unreached,
)
from cellwright.tasks.neighbours import nearest, representation

PSEUDOTIME, BRANCH, TERMINAL, FATES, TRANSITIONS = "pseudotime", "branch", "terminal", "fates", "transitions"
UNS = "trajectory"
CHANGES, CURVES = "changes", "changes_curves"  # in uns, of the task `changes`: they are of one trajectory


class TrajectoryOptions(Options):
    """How a trajectory is found."""

    root: str | None = Field(
        None,
        description="where it starts: a cell's name or a label; None is the earliest time, or one end of the graph",
    )
    terminal: tuple[str, ...] = Field((), description="labels in which it ends; without any the ends are found")
    pseudotime: Literal["geodesic", "diffusion"] = Field(
        "geodesic", description="shortest paths along the cells, or diffusion pseudotime"
    )
    transitions: Literal["hard", "soft", "transport"] = Field(
        "hard", description="forward along pseudotime, strictly or softly; or optimal transport between time points"
    )
    n_neighbors: int = Field(30, ge=2, description="of a cell in the walk; paths have the nearest half")
    n_smooth: int = Field(8, ge=0, description="steps over which the latent is averaged along the graph before paths")
    min_length: float = Field(
        0.1, gt=0, lt=1, description="a branch is at least so long, as a share of the whole pseudotime"
    )
    min_cells: int = Field(10, ge=1, description="and, where ends are found and not given, has at least so many cells")
    bridge: bool = Field(
        default=False, description="join parts of the graph that nothing connects by their nearest cells"
    )

    @field_validator("terminal")
    @classmethod
    def _are_different(cls, terminal: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(terminal)) < len(terminal):
            raise ValueError("must be different labels")
        return terminal

    @field_validator("bridge")
    @classmethod
    def _joins_paths(cls, bridge: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  pydantic calls it
        if bridge and info.data.get("pseudotime") == "diffusion":
            raise ValueError("must be false where pseudotime is 'diffusion', which has no paths to join")
        return bridge


def trajectory(
    adata: AnnData,
    options: TrajectoryOptions = TrajectoryOptions(),  # noqa: B008  frozen
    *,
    use_rep: str,
    label_key: str | None = None,
    time_key: str | None = None,
    seed: int = 0,
) -> None:
    """Add the trajectory through `obsm[use_rep]`.

    `label_key` names roots, ends and fates; `time_key` gives the root, and the time points of transport. Writes, in
    place of an earlier trajectory and of the features that followed it,

    - `obs["pseudotime"]`: 0 at the root to 1; infinite for cells that nothing connects with it
    - `obs["terminal"]`: the terminal state that a cell is of, missing for others
    - `obsm["fates"]` (n_obs, n_terminal): where its walk ends, in the order of `uns["trajectory"]["fates"]`
    - `obs["branch"]`: the segment of the lineage tree, missing where fates are not known
    - `obsp["transitions"]`: one step of the walk, rows sum to one
    - `uns["trajectory"]`: options, roots, whether the root was proposed, names of the fates, `tree` (a row per segment:
      name, parent, pseudotime of start and end, number of cells)

    Raises `MissingKey`; `OptionError` for a root or an end that does not exist; `DataError` for too few cells, for time
    points where there is one only, and where `obs` has one of these columns from elsewhere.
    """
    latent = representation(adata, use_rep)
    own = [PSEUDOTIME, BRANCH, TERMINAL] if UNS in adata.uns else []
    labels, time = asked_of(adata.obs.drop(columns=own, errors="ignore"), options, label_key, time_key)
    if len(latent) < 3:
        raise DataError(f"a trajectory needs three cells at least; there are {len(latent)}. Give more cells.")
    found = found_in(latent, adata.obs_names, labels, time, options, seed)
    _write(adata, found, options)


@dataclass(frozen=True, eq=False)
class Found:
    """A trajectory, as arrays."""

    roots: np.ndarray
    root_is_proposed: bool
    pseudotime: np.ndarray
    tree: LineageTree
    names: tuple[str, ...]  # of the fates
    terminal: tuple[np.ndarray, ...]
    transitions: sparse.csr_matrix
    fates: np.ndarray
    segment: np.ndarray


def found_in(
    latent: np.ndarray,
    cells: pd.Index,
    labels: pd.Series | None,
    time: np.ndarray | None,
    options: TrajectoryOptions,
    seed: int,
) -> Found:
    """The trajectory through a latent; see `trajectory`."""
    walk = CellGraph(*nearest(latent, options.n_neighbors, seed))
    n_near = max(1, options.n_neighbors // 2)
    near = CellGraph(walk.indices[:, :n_near], walk.distances[:, :n_near])
    smooth = smoothed(latent, near, options.n_smooth)
    paths = reconnected(CellGraph(*nearest(smooth, n_near, seed)), near, smooth)
    lengths = bridged(paths, smooth) if options.bridge else paths.lengths
    bones = skeleton(paths, lengths)
    roots, proposed = roots_of(options.root, paths, smooth, cells, labels, time)
    order = _pseudotime(options, lengths, latent, roots, seed)
    warn_of_unreached(order, paths.components, labels)
    terminal, names = _ends(options, paths, bones, order, labels)
    tips = np.array([rows[0] for rows in terminal])
    tree = lineage_tree(bones, order, tips, min_length=options.min_length)
    steps = _transitions(options, walk, latent, order, time, seed)
    if options.bridge:
        steps = over_bridges(steps, lengths - paths.lengths, order, walk.indices.shape[1])
    probabilities = fates(steps, terminal, order)
    warn_of_no_end(probabilities, order)
    of_roots = probabilities[roots][np.isfinite(probabilities[roots]).all(axis=1)]
    at_root = of_roots.mean(axis=0) if len(of_roots) else np.zeros(len(tips))
    segment = branches(probabilities, tree, at_root)
    return Found(roots, proposed, order, tree, names, terminal, steps, probabilities, segment)


def _ends(
    options: TrajectoryOptions,
    graph: CellGraph,
    bones: sparse.csr_matrix,
    pseudotime: np.ndarray,
    labels: pd.Series | None,
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """The cells of each terminal state, its tip first, and what it is called."""
    if options.terminal:
        return tuple(ends_of(labels, name, pseudotime) for name in options.terminal), options.terminal
    tips = maxima(bones, pseudotime, min_length=options.min_length, min_cells=options.min_cells)
    terminal = around(tips, graph)
    return terminal, named(terminal, labels)


def refuse_taken(obs: pd.DataFrame) -> None:
    """Raise `DataError` where the cells have a column under which `trajectory` writes what it finds."""
    for name in (PSEUDOTIME, BRANCH, TERMINAL):
        if name in obs:
            raise DataError(
                f"obs must not have {name!r}, under which `trajectory` writes what it finds; the data have it. Give "
                f"the column another name: adata.obs = adata.obs.rename(columns={{{name!r}: 'known'}})."
            )


def asked_of(
    obs: pd.DataFrame, options: TrajectoryOptions, label_key: str | None, time_key: str | None
) -> tuple[pd.Series | None, np.ndarray | None]:
    """Labels and times of the cells. Raises what is wrong with these, or with a root or an end, in any latent."""
    refuse_taken(obs)
    labels, time = _column(obs, label_key, "label_key"), _times(obs, time_key)
    if options.root is not None:
        rows_of_root(options.root, obs.index, labels)
    for name in options.terminal:
        rows_of_label(labels, name, "terminal")
    if options.transitions == "transport" and time is None:
        raise OptionError(
            "transitions 'transport' of TrajectoryOptions must have time points; no time_key is given. Give time_key, "
            "or transitions 'hard'."
        )
    return labels, time


def segment_names(tree: LineageTree, names: Sequence[str]) -> list[str]:
    """What each segment is called: by the fate it ends in, or those beyond it; the first is the trunk.

    A name is of one segment: of what leads to a fate that is itself called "trunk" or "A + B" it is numbered.
    """
    out: list[str] = []
    for position, segment in enumerate(tree.segments):
        beyond = " + ".join(names[tip] for tip in segment.tips)
        wanted = "trunk" if position == 0 else beyond
        out.append(beyond if segment.is_tip else unused(wanted, {*names, *out}))
    return out


def _column(obs: pd.DataFrame, key: str | None, role: str) -> pd.Series | None:
    """A column of `obs` as text, missing where it is missing."""
    if key is None:
        return None
    if key not in obs:
        raise MissingKey.of("obs", key, role, obs.columns)
    column = obs[key]
    named = [label_name(value) if known else None for value, known in zip(column, column.notna(), strict=True)]
    return pd.Series(named, index=column.index, dtype=object)


def _times(obs: pd.DataFrame, key: str | None) -> np.ndarray | None:
    if key is None:
        return None
    if key not in obs:
        raise MissingKey.of("obs", key, "time_key", obs.columns)
    try:
        time = obs[key].astype(np.float64).to_numpy()
    except (TypeError, ValueError):
        held = obs[key].dtype if pd.api.types.is_datetime64_any_dtype(obs[key]) else "text"
        raise DataError(f"obs[{key!r}] (time_key) must hold numbers; it holds {held}. Convert it.") from None
    if len(np.unique(time[np.isfinite(time)])) < 2:
        raise DataError(
            f"obs[{key!r}] (time_key) must have two different times at least; it has "
            f"{len(np.unique(time[np.isfinite(time)]))}. Leave it out, and give a root."
        )
    return time


def _pseudotime(
    options: TrajectoryOptions, lengths: sparse.csr_matrix, latent: np.ndarray, roots: np.ndarray, seed: int
) -> np.ndarray:
    if options.pseudotime == "geodesic":
        return geodesic(lengths, roots)
    return to_unit(diffusion_pseudotime(latent, int(roots[0]), seed, max(2, options.n_neighbors // 2)))


def _transitions(
    options: TrajectoryOptions,
    graph: CellGraph,
    latent: np.ndarray,
    pseudotime: np.ndarray,
    time: np.ndarray | None,
    seed: int,
) -> sparse.csr_matrix:
    if options.transitions != "transport":
        return SCHEMES[options.transitions](graph, pseudotime)
    assert time is not None, "refused by asked_of"
    return transport(latent, time, graph, np.random.default_rng(seed))


def _write(adata: AnnData, found: Found, options: TrajectoryOptions) -> None:
    names = segment_names(found.tree, found.names)
    adata.obs[PSEUDOTIME] = found.pseudotime
    adata.obs[BRANCH] = pd.Categorical.from_codes(found.segment, categories=pd.Index(names))
    state = np.full(adata.n_obs, -1)
    for code, rows in enumerate(found.terminal):
        state[rows] = code
    adata.obs[TERMINAL] = pd.Categorical.from_codes(state, categories=pd.Index(found.names))
    adata.obsm[FATES] = found.fates.astype(np.float32)
    adata.obsp[TRANSITIONS] = found.transitions.astype(np.float32)
    for key in (CHANGES, CURVES):
        adata.uns.pop(key, None)
    adata.uns[UNS] = {
        "options": options.model_dump_json(),
        "roots": adata.obs_names[found.roots].to_numpy(dtype=str),
        "root_is_proposed": found.root_is_proposed,
        "fates": np.array(found.names, dtype=str),
        "tree": _table(found, names),
    }


def _table(found: Found, names: Sequence[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for position, segment in enumerate(found.tree.segments):
        rows.append(
            {
                "segment": names[position],
                "parent": names[segment.parent] if segment.parent >= 0 else "",
                "start": segment.start,
                "end": segment.end,
                "is_tip": segment.is_tip,
                "n_cells": int((found.segment == position).sum()),
            }
        )
    return pd.DataFrame(rows)
