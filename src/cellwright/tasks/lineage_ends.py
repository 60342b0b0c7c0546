"""Lineage ends: the cells at which a trajectory starts and ends, by name, by time or proposed; their names.

a cell's name, a label, times or nothing -> rows of the roots; labels or tips of a tree -> rows of terminal states
"""

import itertools
import warnings
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from cellwright.dynamics.cell_graph import CellGraph
from cellwright.dynamics.roots import earliest, extremes, most_central
from cellwright.errors import OptionError, did_you_mean

N_TERMINAL = 16  # cells of a terminal state: the tip and its nearest neighbours


def roots_of(
    root: str | None,
    graph: CellGraph,
    latent: np.ndarray,
    cells: pd.Index,
    labels: pd.Series | None,
    time: np.ndarray | None,
) -> tuple[np.ndarray, bool]:
    """Rows of the roots, most central first; and whether nobody gave them."""
    if root is not None:
        return most_central(latent, rows_of_root(root, cells, labels)), False
    if time is not None:
        return most_central(latent, earliest(time)), False
    first, second = extremes(graph)
    of_ends = [None, None] if labels is None else [labels.iloc[first], labels.iloc[second]]
    kinds = ["" if kind is None else f" ({kind})" for kind in of_ends]
    warnings.warn(
        f"no root was given: the trajectory starts at one end of the graph, cell {cells[first]}{kinds[0]}; the other "
        f"end is {cells[second]}{kinds[1]}, and nothing says which is first. Give root (cell or label), or time_key.",
        UserWarning,
        stacklevel=4,
    )
    return np.array([first]), True


def ends_of(labels: pd.Series | None, name: str, pseudotime: np.ndarray) -> np.ndarray:
    """The latest cells of a label, the latest first."""
    rows = rows_of_label(labels, name, "terminal")
    rows = rows[np.isfinite(pseudotime[rows])]
    if not len(rows):
        raise OptionError(
            f"terminal of TrajectoryOptions must be reached from the root; no cell of {name!r} is. Give another root, "
            "or bridge."
        )
    return rows[np.argsort(-pseudotime[rows], kind="stable")[:N_TERMINAL]]


def around(tips: np.ndarray, graph: CellGraph) -> tuple[np.ndarray, ...]:
    """Each tip with its nearest neighbours; a cell near two tips is of the first."""
    taken: set[int] = set(tips.tolist())
    out = []
    for tip in tips.tolist():
        near = [row for row in graph.indices[tip].tolist() if row not in taken][: N_TERMINAL - 1]
        taken |= set(near)
        out.append(np.array([tip, *near]))
    return tuple(out)


def named(terminal: Sequence[np.ndarray], labels: pd.Series | None) -> tuple[str, ...]:
    """Each terminal state by the label of most of its cells, numbered where two have the same."""
    kinds = [
        f"end {position + 1}" if labels is None else str(labels.iloc[rows].mode().get(0, f"end {position + 1}"))
        for position, rows in enumerate(terminal)
    ]
    names: list[str] = []
    for kind in kinds:
        names.append(unused(kind, {*kinds, *names}) if kind in names else kind)
    return tuple(names)


def unused(name: str, taken: Collection[str]) -> str:
    """The name, numbered where it is taken."""
    numbered = (f"{name} ({n})" for n in itertools.count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def warn_of_no_end(fates: np.ndarray, pseudotime: np.ndarray) -> None:
    """Say how many cells have a pseudotime, and no way to an end."""
    lost = np.isfinite(pseudotime) & np.isnan(fates).any(axis=1)
    if lost.any():
        warnings.warn(
            f"the walk leads from {lost.sum()} of {len(lost)} cells to none of the ends; they have no fates and no "
            "branch. Give more neighbours, transitions 'soft', or no terminal labels.",
            UserWarning,
            stacklevel=4,
        )


def warn_of_unreached(pseudotime: np.ndarray, component: np.ndarray, labels: pd.Series | None) -> None:
    """Say which parts of the graph nothing connects with the root."""
    unreached = ~np.isfinite(pseudotime)
    if not unreached.any():
        return
    parts = []
    for part, n in zip(*np.unique(component[unreached], return_counts=True), strict=True):
        inside = unreached & (component == part)
        parts.append(f"{n}" if labels is None else f"{n}, mostly {labels[inside].mode().get(0, 'unlabelled')}")
    shown = "; ".join(parts[:5]) + ("; ..." if len(parts) > 5 else "")
    warnings.warn(
        f"{unreached.sum()} of {len(pseudotime)} cells are in {len(parts)} parts of the graph that nothing connects "
        f"with the root ({shown}); their pseudotime is infinite. Leave these cells out, give more neighbours, or give "
        "bridge, which joins parts by their nearest cells.",
        UserWarning,
        stacklevel=4,
    )


def rows_of_root(root: str, cells: pd.Index, labels: pd.Series | None) -> np.ndarray:
    """The cell of that name, or else the cells of that label. Raises `OptionError` where there is neither."""
    rows = np.flatnonzero(cells == root)
    if len(rows) > 1:
        raise OptionError(
            f"root of TrajectoryOptions must be one cell; {len(rows)} are called {root!r}. Give the cells names of "
            "their own: adata.obs_names_make_unique()."
        )
    return rows if len(rows) else rows_of_label(labels, root, "root", or_a_cell=True)


def rows_of_label(labels: pd.Series | None, name: str, role: str, *, or_a_cell: bool = False) -> np.ndarray:
    """The cells of a label. Raises `OptionError` where there is none; `role` is what it was asked for."""
    known = [] if labels is None else sorted({label for label in labels if label is not None})
    if name not in known:
        what = "a cell or a label" if or_a_cell else "a label"
        shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        among = f"the labels are {shown}" if known else "no label_key is given"
        raise OptionError(
            f"{role} of TrajectoryOptions must be {what}; {name!r} is none, {among}.{did_you_mean(name, known)}"
        )
    assert labels is not None
    return np.flatnonzero((labels == name).to_numpy())
