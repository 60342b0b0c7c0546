"""Trajectory: cells coloured by pseudotime and by branch, with the lineages' curves and the walk's arrows; the tree.

cells.h5ad of the first finished seed of each model -> a view per model and colour: the map, and the lineage tree
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, short
from cellwright.report.theme import (
    FAINT_INK,
    INK,
    LINE,
    NO_CATEGORY,
    PALETTE,
    Figure,
    Json,
    axis,
    axis_title,
    layout,
    panel_title,
)

MOST_CELLS = 12_000  # drawn; beyond, every n-th
PSEUDOTIME_SCALE = [[0.0, "#2c1e5c"], [0.3, "#3b6aa0"], [0.55, "#2f9e8f"], [0.8, "#a7c957"], [1.0, "#f6d743"]]
MAP = [0.0, 0.58]
TREE = [0.68, 0.97]
HEIGHT = 520
THINNEST, WIDEST = 2.0, 12.0  # of a line of the tree, in pixels
_TREE_COLUMNS = {"segment", "parent", "start", "end", "n_cells"}


@dataclass(frozen=True)
class Piece:
    """A segment of the tree."""

    name: str
    parent: str
    start: float
    end: float
    n_cells: int


@dataclass(frozen=True)
class Trajectory:
    """What is drawn of one model."""

    title: str
    map_name: str
    places: np.ndarray
    pseudotime: np.ndarray
    branch: np.ndarray  # of str, "" where it is not known
    labels: np.ndarray | None
    tree: list[Piece]
    fates: list[str]
    curves: np.ndarray | None
    arrows: np.ndarray | None
    root_is_proposed: bool
    n_unreached: int


def context(contents: Contents) -> Context | None:
    """None where no run has a trajectory."""
    blocks = []
    for data in contents.data_names:
        found = [one for run in best_first(contents, data) if (one := _trajectory(run)) is not None]
        if found:
            blocks.append({"data": short(data), "figure": _figure(found), "caption": _caption(found)})
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Order, branches and fates", context)


def _trajectory(run: StoredRun) -> Trajectory | None:
    cells = run.cells
    if cells is None or cells.trajectory is None or cells.map is None or "pseudotime" not in cells.obs:
        return None
    tree = cells.trajectory.get("tree")
    if not isinstance(tree, pd.DataFrame) or not set(tree.columns) >= _TREE_COLUMNS or not len(tree):
        return None
    every = slice(None, None, -(-len(cells.obs) // MOST_CELLS))
    order = cells.obs["pseudotime"].to_numpy(np.float64)
    branch = cells.obs["branch"] if "branch" in cells.obs else pd.Series("", index=cells.obs.index)
    labels = run.column(run.label_key)
    return Trajectory(
        run.title,
        "UMAP" if cells.map.is_umap else "latent",
        cells.map.coordinates[every],
        order[every],
        branch.astype(object).where(branch.notna(), "").astype(str).to_numpy()[every],
        None if labels is None else labels.astype(object).fillna("").astype(str).to_numpy()[every],
        _pieces(tree),
        [str(name) for name in cells.trajectory.get("fates", [])],
        _points(cells.trajectory.get("curves"), 3),
        _points(cells.trajectory.get("arrows"), 2),
        bool(cells.trajectory.get("root_is_proposed", False)),
        int((~np.isfinite(order)).sum()),
    )


def _pieces(tree: pd.DataFrame) -> list[Piece]:
    return [
        Piece(str(row["segment"]), str(row["parent"]), float(row["start"]), float(row["end"]), int(row["n_cells"]))
        for row in tree.to_dict("records")
    ]


def _points(value: object, n_dims: int) -> np.ndarray | None:
    found = np.asarray(value) if value is not None else np.zeros(0)
    return found if found.ndim == n_dims and found.size else None


def _figure(found: list[Trajectory]) -> Figure:
    views: dict[str, Json] = {}
    for one in found:
        colour = _branch_colours(one)
        for by in ("pseudotime", "branch"):
            name = by if len(found) == 1 else f"{short(one.title, 32)}: {by}"
            name = name if name not in views else f"{name} ({len(views) + 1})"  # what is cut may be alike
            cells = _by_pseudotime(one) if by == "pseudotime" else _by_branch(one, colour)
            drawn = [*cells, *_arrows(one), *_curves(one, colour), *_tree(one, colour)]
            views[name] = {"data": drawn, "layout": _layout(one)}
    as_list = "Model and colour" if len(found) > 1 else ""
    return Figure(views, HEIGHT, "Cells along their trajectory, and the tree of lineages", as_list=as_list)


def _branch_colours(one: Trajectory) -> dict[str, str]:
    """Tips get the colours; what is before a fork is grey, the trunk the palest."""
    names = [piece.name for piece in one.tree]
    tips = [name for name in names if name in one.fates]
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(tips, key=natural))}
    inner = [name for name in names if name not in colour]
    shades = ["#b4b2aa", "#8d939a", "#70777e"]
    return colour | {name: shades[min(i, len(shades) - 1)] for i, name in enumerate(inner)}


def _cells(one: Trajectory, rows: np.ndarray, name: str, marker: Json) -> Json:
    said = [_said(one, row) for row in rows]
    places = np.round(one.places[rows].astype(np.float64), 3)
    look = {"size": 4 if len(one.pseudotime) > 1500 else 5.5, "opacity": 0.85, **marker}
    return {
        "type": "scattergl", "mode": "markers", "name": name, "x": places[:, 0].tolist(), "y": places[:, 1].tolist(),
        "text": said, "hovertemplate": "%{text}<extra></extra>", "marker": look, "xaxis": "x", "yaxis": "y",
        "showlegend": False,
    }  # fmt: skip


def _said(one: Trajectory, row: int) -> str:
    time = one.pseudotime[row]
    parts = [
        f"pseudotime {time:.3f}" if np.isfinite(time) else "not reached",
        in_figure(one.branch[row] or "no branch", 40),
    ]
    if one.labels is not None:
        parts.insert(0, f"<b>{in_figure(one.labels[row] or 'no label', 40)}</b>")
    return "<br>".join(parts)


def _by_pseudotime(one: Trajectory) -> list[Json]:
    reached = np.isfinite(one.pseudotime)
    bar = {
        "title": {"text": "pseudotime", "side": "top", "font": {"size": 11, "color": FAINT_INK}}, "orientation": "h",
        "x": 0.29, "xanchor": "center", "y": -0.02, "yanchor": "top", "len": 0.3, "thickness": 9, "outlinewidth": 0,
        "tickfont": {"size": 10, "color": FAINT_INK}, "nticks": 3,
    }  # fmt: skip
    marker = {
        "color": np.round(one.pseudotime[reached], 4).tolist(), "colorscale": PSEUDOTIME_SCALE, "cmin": 0, "cmax": 1,
        "colorbar": bar,
    }  # fmt: skip
    out = [_cells(one, np.flatnonzero(~reached), "not reached", {"color": NO_CATEGORY})] if (~reached).any() else []
    return [*out, _cells(one, np.flatnonzero(reached), "cells", marker)]


def _by_branch(one: Trajectory, colour: dict[str, str]) -> list[Json]:
    names = ["", *colour]
    return [
        _cells(one, rows, in_figure(name or "no branch", 30), {"color": colour.get(name, NO_CATEGORY)})
        for name in names
        if len(rows := np.flatnonzero(one.branch == name))
    ]


def _arrows(one: Trajectory) -> list[Json]:
    """Shafts and heads as one line with gaps: markers would not turn with the scale of the map."""
    if one.arrows is None:
        return []
    long = np.hypot(one.arrows[:, 2], one.arrows[:, 3])
    kept = one.arrows[long > 0.2 * long.max(initial=0)]
    start, way = kept[:, :2] - kept[:, 2:] / 2, kept[:, 2:]
    tip, across = start + way, np.column_stack([-way[:, 1], way[:, 0]])
    barbs = [tip - 0.35 * way + side * 0.22 * across for side in (1, -1)]
    gap = np.full_like(tip, np.nan)
    line = np.stack([start, tip, gap, barbs[0], tip, barbs[1], gap], axis=1).reshape(-1, 2)
    x, y = ([None if np.isnan(v) else round(float(v), 3) for v in column] for column in line.T)
    look = {"color": INK, "width": 1.3}
    return [
        {
            "type": "scatter", "mode": "lines", "name": "walk", "x": x, "y": y, "line": look, "opacity": 0.6,
            "hoverinfo": "skip", "showlegend": False, "xaxis": "x", "yaxis": "y",
        }
    ]  # fmt: skip


def _curves(one: Trajectory, colour: dict[str, str]) -> list[Json]:
    """Each lineage's line on the map, with a white edge that sets it off the cells."""
    out: list[Json] = []
    for name, curve in zip(one.fates, one.curves if one.curves is not None else (), strict=False):
        points = {"x": np.round(curve[:, 1], 3).tolist(), "y": np.round(curve[:, 2], 3).tolist()}
        common = {
            "type": "scatter", "mode": "lines", **points, "hoverinfo": "skip", "showlegend": False, "xaxis": "x",
            "yaxis": "y",
        }  # fmt: skip
        out.append({**common, "line": {"color": "#ffffff", "width": 5.5, "shape": "spline"}})
        out.append({**common, "line": {"color": colour.get(name, INK), "width": 3, "shape": "spline"}})
    return out


def _tree(one: Trajectory, colour: dict[str, str]) -> list[Json]:
    """A horizontal line per segment, as thick as its cells are many, and upright lines at the forks."""
    height = _heights(one.tree)
    most = float(np.sqrt(max(1, *(piece.n_cells for piece in one.tree))))
    out: list[Json] = []
    for row in one.tree:
        at = height[row.name]
        wide = THINNEST + (WIDEST - THINNEST) * float(np.sqrt(row.n_cells)) / most
        said = f"<b>{in_figure(row.name, 40)}</b><br>{row.n_cells:,} cells, pseudotime {row.start:.2f} to {row.end:.2f}"
        on_tree = {"type": "scatter", "xaxis": "x2", "yaxis": "y2", "showlegend": False}
        if row.parent:
            upright = {"x": [row.start, row.start], "y": [height[row.parent], at], "hoverinfo": "skip"}
            out.append({**on_tree, "mode": "lines", **upright, "line": {"color": LINE, "width": 2}})
        line = {"color": colour.get(row.name, FAINT_INK), "width": round(wide, 1)}
        ends = {"x": [row.start, (row.start + row.end) / 2, row.end], "y": [at] * 3, "text": [said] * 3}
        out.append({**on_tree, "mode": "lines", **ends, "hovertemplate": "%{text}<extra></extra>", "line": line})
    return out


def _heights(tree: list[Piece]) -> dict[str, float]:
    """Tips from top to bottom as the table has them; a fork in the middle of what leaves it."""
    rows = [(piece.name, piece.parent) for piece in tree]
    parents = {parent for _, parent in rows}
    tips = [name for name, _ in rows if name not in parents]
    height = {name: float(-position) for position, name in enumerate(tips)}
    for name, _ in reversed(rows):  # children stand after their parents
        if name not in height:
            height[name] = float(np.mean([height[child] for child, parent in rows if parent == name]))
    return height


def _layout(one: Trajectory) -> Json:
    bare = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    height = _heights(one.tree)
    tips = [piece for piece in one.tree if piece.name in one.fates]
    said = [
        {
            "text": in_figure(row.name, 18), "x": row.end, "y": height[row.name], "xref": "x2", "yref": "y2",
            "xanchor": "left", "yanchor": "middle", "xshift": 7, "showarrow": False, "font": {"size": 12, "color": INK},
        }
        for row in tips
    ]  # fmt: skip
    titles = [
        panel_title(f"{in_figure(one.title, 34)}, {one.map_name}", MAP[0], 1.0),
        panel_title("lineage tree", TREE[0], 1.0),
    ]
    # room for the name of a tip that ends at 1
    across = {"domain": TREE, "anchor": "y2", "range": [-0.03, 1.32], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    return layout(
        xaxis=axis(domain=MAP, anchor="y", **bare),
        yaxis=axis(anchor="x", scaleanchor="x", **bare),
        xaxis2=axis(**across, title=axis_title("pseudotime")),
        yaxis2=axis(anchor="x2", range=[min(height.values()) - 0.6, 0.6], **bare),
        annotations=[*said, *titles],
        hovermode="closest",
        dragmode="pan",
        margin={"l": 4, "r": 8, "t": 34, "b": 62},
    )


def _caption(found: list[Trajectory]) -> str:
    one = found[0]
    said = [
        "Each point is a cell (first finished seed).",
        "Lines: the mean place of the cells of a lineage along it, a cell counting as its fate says.",
        "Arrows: where the walk leads, in the mean over the cells of a small square.",
        "Both are drawn on a map that is for looking only; pseudotime, branches and fates are computed in the latent.",
        "The tree's lines are as thick as their cells are many, and lie where forks and ends are in pseudotime.",
    ]
    if one.root_is_proposed:
        said.append("Nobody gave a root: the start is one end of the graph, and the direction is not known.")
    if one.n_unreached:
        said.append(f"Grey: {one.n_unreached:,} cells that nothing connects with the root.")
    return " ".join(said)
