"""Imputed genes: pairs of genes that go together, in some cells, as measured and as imputed.

gene_pairs.csv of the run that is shown of each model -> two panels per pair side by side, a list of models; the cells
have the colours of their types

What goes together a little before and perfectly afterwards was smoothed; what was two clouds and is one was mixed.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.names import name_of, names_of
from cellwright.report.recovery import shown_runs
from cellwright.report.section import Context, Section
from cellwright.report.sections.latent import OTHER
from cellwright.report.text import in_figure
from cellwright.report.theme import (
    NO_CATEGORY,
    TRAINING,
    Figure,
    Json,
    axis,
    axis_name,
    axis_title,
    colours,
    grid,
    layout,
    layout_axis,
    legend,
    panel_title,
)

TEXT, NUMBERS = ["gene_x", "gene_y", "label"], ["before_x", "before_y", "after_x", "after_y"]
WHEN = {"before": "measured", "after": "imputed"}
MOST_PAIRS, MOST_CELLS = 6, 400
MOST_TYPES = 20  # beyond, the rarest are drawn as one
HEIGHT, GAP, TOP = 196, 84, 52  # pixels; plotly's tools lie above the titles
WIDTHS = {"layout": 940, "narrow": 300}  # of the figure, about, for the legend
Pair = tuple[str, str]
Pairs = dict[Pair, pd.DataFrame]


@dataclass(frozen=True)
class Legend:
    """The types with their colours, and how much room their names take."""

    scale: dict[str, str]

    @property
    def names(self) -> list[str]:
        """As they stand in the figure."""
        return [in_figure(name, 24) for name in self.scale]

    def height(self, kind: str) -> int:
        """Pixels, in a window of that kind."""
        if not self.scale:
            return 10
        width = 60 + 6.6 * max(map(len, self.names))
        return 14 + 20 * -(-len(self.scale) // max(1, int(WIDTHS[kind] // width)))


def context(contents: Contents) -> Context | None:
    """A figure with a view per model; None without a gene_pairs.csv."""
    found = {title: pairs for title, run in shown_runs(contents).items() if (pairs := _pairs(run))}
    if not found:
        return None
    names = names_of(contents)
    key = Legend(_scale(found))
    ends = _ends(found)
    panels: list[Json] = []
    views: dict[str, Json] = {}
    for title, pairs in found.items():
        drawn = _drawn(pairs, key)
        places = list(range(len(panels), len(panels) + len(drawn)))
        panels += drawn
        looks = {kind: _layout(pairs, ends, key, kind) for kind in WIDTHS}
        views[name_of(names, title)] = {"key": "type", "panels": places, **looks}
    n_pairs = max(map(len, found.values()))
    figure = Figure(
        views,
        _height(n_pairs, "layout", key),
        "Pairs of genes, measured and imputed",
        kind="cells",
        shared={"panels": panels, "keys": {"type": _key(key)}},
        narrow_height=_height(n_pairs, "narrow", key),
        as_list="Model",
    )
    return {"figure": figure, "has_types": bool(key.scale)}


SECTION = Section("Imputed genes", context)


def _pairs(run: StoredRun) -> Pairs:
    table = run.table("gene_pairs.csv", TEXT, NUMBERS)
    pairs = {(str(x), str(y)): rows for (x, y), rows in table.groupby(["gene_x", "gene_y"], sort=False)}
    return {pair: pairs[pair].head(MOST_CELLS) for pair in list(pairs)[:MOST_PAIRS]}


def _scale(found: dict[str, Pairs]) -> dict[str, str]:
    """Type -> colour, over all models; without types it is empty."""
    labels = pd.concat([rows["label"] for pairs in found.values() for rows in pairs.values()])
    counts = labels[labels != ""].value_counts()
    if len(counts) <= MOST_TYPES:
        return colours(counts.index)
    return {**colours(counts.index[: MOST_TYPES - 1]), OTHER: NO_CATEGORY}


def _key(key: Legend) -> Json:
    return {
        "categories": key.names,
        "colours": list(key.scale.values()),
        "none": NO_CATEGORY if key.scale else TRAINING,
    }


def _ends(found: dict[str, Pairs]) -> dict[tuple[Pair, str], list[float]]:
    """The ends of both axes of every pair, the same for all models, measured and imputed."""
    ends = {}
    for pair in dict.fromkeys(pair for pairs in found.values() for pair in pairs):
        for letter in "xy":
            columns = [f"{when}_{letter}" for when in WHEN]
            tables = [pairs[pair][columns].to_numpy() for pairs in found.values() if pair in pairs]
            values = np.concatenate(tables)
            values = values[np.isfinite(values)]
            low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
            edge = 0.06 * (high - low) or 0.5
            ends[pair, letter] = [round(low - edge, 3), round(high + edge, 3)]
    return ends


def _drawn(pairs: Pairs, key: Legend) -> list[Json]:
    """Two panels per pair, in the order of `_layout`'s axes."""
    place = {name: i for i, name in enumerate(key.scale)}
    panels: list[Json] = []
    for rows in pairs.values():
        codes = [place.get(name, place.get(OTHER, -1)) if name else -1 for name in rows["label"]]
        for when in WHEN:
            i = len(panels)
            panels.append({
                "x": _rounded(rows[f"{when}_x"]), "y": _rounded(rows[f"{when}_y"]), "size": 5,
                "codes": {"type": codes} if key.scale else {}, "axes": [axis_name("x", i), axis_name("y", i)],
            })  # fmt: skip
    return panels


def _rounded(values: pd.Series) -> list[float | None]:
    return [round(float(value), 2) if np.isfinite(value) else None for value in values]


def _n_rows(n_pairs: int, kind: str) -> int:
    return n_pairs if kind == "narrow" else -(-n_pairs // 2)


def _height(n_pairs: int, kind: str, key: Legend) -> int:
    n_rows = _n_rows(n_pairs, kind)
    return TOP + n_rows * HEIGHT + (n_rows - 1) * GAP + 44 + key.height(kind)


def _layout(pairs: Pairs, ends: dict[tuple[Pair, str], list[float]], key: Legend, kind: str) -> Json:
    n_columns = 1 if kind == "narrow" else min(2, len(pairs))
    n_rows = -(-len(pairs) // n_columns)
    inner = n_rows * HEIGHT + (n_rows - 1) * GAP
    places = grid(len(pairs), n_columns, gap_x=0.09, gap_y=GAP / inner if n_rows > 1 else 0.0)
    axes: Json = {}
    notes: list[Json] = []
    for i, (pair, (across, up)) in enumerate(zip(pairs, places, strict=True)):
        middle, gap = sum(across) / 2, 0.012 if n_columns > 1 else 0.02
        halves = [[across[0], middle - gap], [middle + gap, across[1]]]
        for k, (half, said) in enumerate(zip(halves, WHEN.values(), strict=True)):
            axes |= _axes(2 * i + k, half, up, pair, ends, is_left=k == 0)
            notes.append(panel_title(said, half[0], up[1]))
    margin = {"l": 44, "r": 8, "t": TOP, "b": 44 + key.height(kind)}
    names, _ = legend(1)
    return layout(annotations=notes, legend=names, margin=margin, hovermode="closest", dragmode="pan", **axes)


def _axes(
    index: int, across: list[float], up: list[float], pair: Pair, ends: dict[tuple[Pair, str], list[float]], *,
    is_left: bool,
) -> Json:  # fmt: skip
    look = {"automargin": False, "nticks": 5, "mirror": True, "showline": True}
    x = {"domain": across, "anchor": axis_name("y", index), "range": ends[pair, "x"], **look}
    y = {"domain": up, "anchor": axis_name("x", index), "range": ends[pair, "y"], "showticklabels": is_left, **look}
    return {
        layout_axis("x", index): axis(**x, title=axis_title(in_figure(pair[0], 16))),
        layout_axis("y", index): axis(**y, title=axis_title(in_figure(pair[1], 16) if is_left else "")),
    }
