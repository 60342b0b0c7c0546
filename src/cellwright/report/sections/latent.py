"""Latent: the cells of each model on a map, coloured by label, cluster or batch, the same colours on every map.

    cells.h5ad of the first finished seed -> a panel per model (at most MOST_CELLS cells) -> a figure per data set

Only codes and coordinates are embedded; the script on the page makes the traces, so a change of colour costs no bytes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, Map, StoredRun
from cellwright.report.recovery import is_of_recovery
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, listed, short
from cellwright.report.theme import (
    NO_CATEGORY,
    Figure,
    Json,
    axis,
    axis_name,
    colours,
    grid,
    layout,
    layout_axis,
    legend,
    panel_title,
)

MOST_CELLS = 10_000
MOST_CATEGORIES = 40  # beyond, the rarest are drawn as one; nobody tells 40 colours apart
OTHER = "others"


@dataclass(frozen=True)
class Panel:
    """The cells of one model: names `(n_obs,)`, coordinates `(n_obs, 2)`, and the columns that colour them."""

    title: str
    names: pd.Index
    map: Map
    columns: dict[str, pd.Series]  # label, cluster, batch


def context(contents: Contents) -> Context | None:
    """A figure per data set with at least one map. Where imputations are compared, a latent is no answer."""
    if is_of_recovery(contents):
        return None
    figures = []
    for data in contents.data_names:
        panels = [panel for run in best_first(contents, data) if (panel := panel_of(run)) is not None]
        if panels:
            figures.append({"data": short(data), "figure": _figure(panels), "caption": _caption(panels)})
    return {"figures": figures, "name_data": len(figures) > 1} if figures else None


SECTION = Section("Latent space", context)


def drawn_rows(n_obs: int) -> np.ndarray:
    """The rows that are drawn, ascending: all, or a sample that depends on `n_obs` only: the same cells on all maps."""
    if n_obs <= MOST_CELLS:
        return np.arange(n_obs)
    return np.sort(np.random.default_rng(0).choice(n_obs, MOST_CELLS, replace=False))


def colour_scale(columns: Iterable[pd.Series]) -> dict[str, str]:
    """Category -> colour over all maps, at most `MOST_CATEGORIES`; the rarest beyond share the colour of `OTHER`."""
    counts = Counter(name for column in columns for name in column.dropna().astype(str))
    if len(counts) <= MOST_CATEGORIES:
        return colours(counts)
    return {**colours(name for name, _ in counts.most_common(MOST_CATEGORIES - 1)), OTHER: NO_CATEGORY}


def panel_of(run: StoredRun) -> Panel | None:
    """The cells of a run; None where it has no map."""
    if run.cells is None or run.cells.map is None:
        return None
    keys = {"label": run.label_key, "cluster": run.record.notes.get("cluster_key", "cluster"), "batch": run.batch_key}
    columns = {role: column for role, key in keys.items() if (column := run.column(key)) is not None}
    return Panel(run.title, run.cells.obs.index, run.cells.map, columns)


def _figure(panels: list[Panel]) -> Figure:
    n_columns = 2 if len(panels) == 4 else min(3, len(panels))
    roles = [role for role in ("label", "cluster", "batch") if any(role in panel.columns for panel in panels)]
    scales = {role: colour_scale(p.columns[role] for p in panels if role in p.columns) for role in roles} or {
        "cell": {}
    }
    n_legend = max(map(len, scales.values()))
    look = map_layout([in_figure(panel.title, 32) for panel in panels], n_columns, n_legend)
    views = {f"by {role}": {"key": role, "layout": look} for role in scales}
    shared = {
        "panels": [drawn(panel, i, scales) for i, panel in enumerate(panels)],
        "keys": {role: legend_of(scale) for role, scale in scales.items()},
    }
    height = {1: 500, 2: 390, 3: 300}[n_columns] * -(-len(panels) // n_columns) + 38 + legend(n_legend)[1]
    return Figure(views, height, "Maps of the cells, one per model", kind="cells", shared=shared)


def drawn(panel: Panel, index: int, scales: dict[str, dict[str, str]]) -> Json:
    """A panel as the page's script takes it, on the axes of that index."""
    rows = drawn_rows(len(panel.names))
    return {
        "x": _rounded(panel.map.coordinates[rows, 0]),
        "y": _rounded(panel.map.coordinates[rows, 1]),
        "names": [in_figure(name, 40) for name in panel.names[rows]],
        "codes": {role: _codes(column.iloc[rows], scales[role]) for role, column in panel.columns.items()},
        "axes": [axis_name("x", index), axis_name("y", index)],
    }


def _codes(column: pd.Series, scale: dict[str, str]) -> list[int]:
    """The place of each cell's category in the scale; -1 where the cell has none."""
    place = {name: i for i, name in enumerate(scale)}
    known, names = column.notna().to_numpy(), column.astype(str).to_numpy()
    return [place.get(name, place.get(OTHER, -1)) if has else -1 for name, has in zip(names, known, strict=True)]


def legend_of(scale: dict[str, str]) -> Json:
    """The names and colours of a scale, as the page's script takes them."""
    names = [in_figure(name, 28) for name in scale]
    return {"categories": names, "colours": list(scale.values()), "none": NO_CATEGORY}


def map_layout(titles: list[str], n_columns: int, n_legend: int) -> Json:
    """Maps in rows of `n_columns`, a title above each, room for a legend of so many names below."""
    places = grid(len(titles), n_columns, gap_x=0.03, gap_y=0.14 / -(-len(titles) // n_columns))
    bare = {"showgrid": False, "showticklabels": False, "ticks": "", "mirror": True, "showline": True}
    axes: Json = {}
    for i, (across, up) in enumerate(places):
        axes[layout_axis("x", i)] = axis(domain=across, anchor=axis_name("y", i), **bare)
        axes[layout_axis("y", i)] = axis(domain=up, anchor=axis_name("x", i), **bare)
    above = [panel_title(title, across[0], up[1]) for title, (across, up) in zip(titles, places, strict=True)]
    names, height = legend(n_legend)
    margin = {"l": 4, "r": 4, "t": 30, "b": 8 + height}
    return layout(annotations=above, legend=names, margin=margin, hovermode="closest", dragmode="pan", **axes)


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 3) if np.isfinite(value) else None for value in values]


def _caption(panels: list[Panel]) -> str:
    n_obs = max(len(panel.names) for panel in panels)
    plain = [short(panel.title) for panel in panels if not panel.map.is_umap]
    all_plain = len(plain) == len(panels)
    what = "the first two latent dimensions of a model" if all_plain else "the UMAP of a model's latent"
    said = [f"Each point is a cell; each map is {what} (first finished seed); distances on a UMAP mean little."]
    if plain and not all_plain:
        said.append(f"For {listed(plain)} there is no UMAP; the first two latent dimensions are shown instead.")
    if n_obs > MOST_CELLS:
        said.append(f"{MOST_CELLS:,} cells are drawn of {n_obs:,}, chosen at random, the same for all models.")
    said.append("Clusters of different models share no more than their numbers. Click a name in the legend to hide it.")
    return " ".join(said)
