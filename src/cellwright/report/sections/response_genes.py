"""Response by gene: the mean of every gene in predicted cells against that in real treated ones, type by type.

genes.csv and scores.csv of the run that is shown of each model and type -> a panel per type, a list of models; the
most changed genes, ranked by real cells, have their names

A panel's real values come from the first model's run: they are the same cells for all models.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.labels import offsets
from cellwright.report.names import name_of, names_of
from cellwright.report.responses import shown_runs, shown_titles, types_of
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, number
from cellwright.report.theme import (
    FAINT_INK,
    NO_CATEGORY,
    TRAINING,
    Figure,
    Json,
    axis,
    axis_name,
    axis_title,
    grid,
    layout,
    layout_axis,
    legend_above,
    panel_title,
)

MOST_GENES = 2_500  # drawn of each type, the most changed ones; the others lie at the origin, one on the other
NAMED = 10
HEIGHT, GAP, TOP = 380, 84, 62  # pixels
WIDTHS = {"layout": 950.0, "narrow": 270.0}  # of all panels side by side, about, for where names have room
MEANS = ["control_mean", "treated_mean", "predicted_mean", "rank"]
LOOKS = {
    "control": {"name": "no change", "said": "control",
                "marker": {"color": NO_CATEGORY, "size": 3.5, "opacity": 0.8}},
    "predicted": {"name": "predicted", "said": "predicted",
                  "marker": {"color": TRAINING, "size": 4.5, "opacity": 0.75}},
}  # fmt: skip


@dataclass
class Panel:
    """One type: `genes` are the drawn rows of genes.csv, `predicted` and `r2` are by the title of the model."""

    name: str
    genes: pd.DataFrame
    predicted: dict[str, pd.Series] = field(default_factory=dict)
    r2: dict[str, tuple[float, float]] = field(default_factory=dict)  # over all genes, over the most changed 100

    @property
    def high(self) -> float:
        """Where the axes end."""
        values = [self.genes["treated_mean"], self.genes["control_mean"], *self.predicted.values()]
        return 1.06 * max(float(value.max()) for value in values)

    @property
    def low(self) -> float:
        """Where the axes begin: at 0, or below it where values are negative."""
        values = [self.genes["treated_mean"], self.genes["control_mean"], *self.predicted.values()]
        return min(-0.03 * self.high, 1.06 * min(float(value.min()) for value in values))


def context(contents: Contents) -> Context | None:
    """A figure with a view per model; None without a genes.csv."""
    panels, titles = _panels(contents)
    if not panels:
        return None
    short_names = names_of(contents)
    names = {title: name_of(short_names, title) for title in titles}
    shared: Json = {"panels": [_drawn(panel, i) for i, panel in enumerate(panels)], "looks": LOOKS}
    views = {
        names[title]: {"key": title, **{kind: _layout(panels, title, kind) for kind in WIDTHS}} for title in titles
    }
    n_rows = -(-len(panels) // min(2, len(panels)))
    figure = Figure(
        views,
        TOP + n_rows * HEIGHT + (n_rows - 1) * GAP + 50,
        "Mean of each gene in predicted against real treated cells",
        kind="genes",
        shared=shared,
        narrow_height=TOP + len(panels) * 300 + (len(panels) - 1) * GAP + 50,
        as_list="Model",
    )
    n_genes = max(len(panel.genes) for panel in panels)
    return {"figure": figure, "n_drawn": f"{n_genes:,}", "is_cut": n_genes == MOST_GENES, "n_named": NAMED}


SECTION = Section("Response by gene", context)


def _panels(contents: Contents) -> tuple[list[Panel], list[str]]:
    """The panels in the order of the types, and the titles of the models that have one."""
    found: dict[str, Panel] = {}
    runs = shown_runs(contents, shown_titles(contents) or [run.title for run in contents.runs])
    for title, of_title in runs.items():
        for run in of_title:
            _add(found, title, run)
    titles = [title for title in runs if any(title in panel.predicted for panel in found.values())]
    order = [name for name in types_of(contents) if name in found]
    return [found[name] for name in [*order, *[name for name in found if name not in order]]], titles


def _add(panels: dict[str, Panel], title: str, run: StoredRun) -> None:
    """Add the predictions of a run to the panels of its types."""
    table = run.table("genes.csv", ["group", "gene"], MEANS).dropna()
    scores = run.table("scores.csv", ["metric", "group"], ["value"])
    for group, rows in table.groupby("group", sort=False):
        drawn = rows.sort_values("rank", kind="stable").head(MOST_GENES).set_index("gene")
        panel = panels.setdefault(str(group), Panel(str(group), drawn))
        values = drawn["predicted_mean"].groupby(level=0).first()
        panel.predicted[title] = values.reindex(panel.genes.index)
        of_type = scores[scores["group"] == group].set_index("metric")["value"]
        panel.r2[title] = float(of_type.get("mean_r2", np.nan)), float(of_type.get("mean_r2_top100", np.nan))


def _drawn(panel: Panel, index: int) -> Json:
    return {
        "axes": [axis_name("x", index), axis_name("y", index)],
        "genes": [in_figure(gene, 30) for gene in panel.genes.index],
        "treated": _rounded(panel.genes["treated_mean"]),
        "control": _rounded(panel.genes["control_mean"]),
        "predicted": {title: _rounded(values) for title, values in panel.predicted.items()},
    }


def _rounded(values: pd.Series) -> list[float | None]:
    return [round(float(value), 3) if np.isfinite(value) else None for value in values]


def _layout(panels: list[Panel], title: str, kind: str) -> Json:
    n_columns = 1 if kind == "narrow" else min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    height = 300 if kind == "narrow" else HEIGHT
    inner = n_rows * height + (n_rows - 1) * GAP
    places = grid(len(panels), n_columns, gap_x=0.09, gap_y=GAP / inner if n_rows > 1 else 0.0)
    axes: Json = {}
    notes, lines = [], []
    for i, (panel, (across, up)) in enumerate(zip(panels, places, strict=True)):
        ends = [panel.low, panel.high]
        axes[layout_axis("x", i)] = axis(
            domain=across, anchor=axis_name("y", i), range=ends, title=axis_title("mean of real treated cells")
        )
        axes[layout_axis("y", i)] = axis(
            domain=up, anchor=axis_name("x", i), range=ends, title=axis_title("predicted mean")
        )
        notes.append(panel_title(_heading(panel, title), across[0], up[1]))
        notes += _names(panel, title, i, (WIDTHS[kind] * (across[1] - across[0]), height))
        where = {"xref": axis_name("x", i), "yref": axis_name("y", i), "layer": "below"}
        diagonal = {"x0": ends[0], "y0": ends[0], "x1": ends[1], "y1": ends[1]}
        lines.append({"type": "line", **diagonal, **where, "line": {"color": FAINT_INK, "width": 1, "dash": "dot"}})
    margin = {"l": 48, "r": 8, "t": TOP, "b": 50}
    return layout(
        annotations=notes,
        shapes=lines,
        legend=legend_above(),
        margin=margin,
        hovermode="closest",
        dragmode="pan",
        **axes,
    )


def _heading(panel: Panel, title: str) -> str:
    if title not in panel.r2:
        return f"{in_figure(panel.name, 30)}, not predicted"
    every, top = (number(value) for value in panel.r2[title])
    return f"{in_figure(panel.name, 30)}</b>   R² {every}, top 100 {top}<b>"


def _names(panel: Panel, title: str, index: int, size: tuple[float, float]) -> list[Json]:
    """The names of the most changed genes beside their points."""
    if title not in panel.predicted:
        return []
    rows = panel.genes.assign(predicted=panel.predicted[title]).head(NAMED).dropna()
    rows = rows.sort_values("predicted", ascending=False)
    span = panel.high - panel.low
    across = [(value - panel.low) / span * size[0] for value in rows["treated_mean"]]
    down = [(panel.high - value) / span * size[1] for value in rows["predicted"]]
    names = [in_figure(gene, 16) for gene in rows.index]
    places = offsets(list(zip(across, down, strict=True)), names, *size)
    return [
        {
            "x": round(float(row["treated_mean"]), 3), "y": round(float(row["predicted"]), 3), "text": name,
            "ax": dx, "ay": dy, "xref": axis_name("x", index), "yref": axis_name("y", index), "showarrow": True,
            "arrowhead": 0, "arrowwidth": 0.7, "arrowcolor": FAINT_INK, "font": {"size": 11}, "standoff": 3,
        }
        for (_, row), name, (dx, dy) in zip(rows.iterrows(), names, places, strict=True)
    ]  # fmt: skip
