"""Changes: a heat map of the features that follow each lineage most, in the order in which they peak.

uns["changes"], uns["changes_curves"] of the best model that has them -> a view per lineage
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, short
from cellwright.report.theme import SEQUENTIAL, Figure, Json, axis, axis_title, layout

SHOWN = 40  # features of a lineage
ROW_PIXELS = 15
_NEEDED = {"lineage", "feature", "p_adjusted", "explained", "size", "peak", "direction"}


def context(contents: Contents) -> Context | None:
    """A block per data set; None where no run has changing features."""
    blocks = []
    for data in contents.data_names:
        found = [run for run in best_first(contents, data) if _has_changes(run)]
        if found:
            assert found[0].cells is not None
            table, curves = found[0].cells.changes, found[0].cells.changes_curves
            assert table is not None
            assert curves is not None
            blocks.append({"data": short(data), "model": short(found[0].title), "figure": _figure(table, curves)})
    return {"blocks": blocks, "name_data": len(blocks) > 1, "shown": SHOWN} if blocks else None


SECTION = Section("Features that change along each lineage", context)


def _has_changes(run: StoredRun) -> bool:
    cells = run.cells
    if cells is None or cells.changes is None or cells.changes_curves is None:
        return False
    return set(cells.changes.columns) >= _NEEDED and len(cells.changes) == len(cells.changes_curves)


def _figure(table: pd.DataFrame, curves: np.ndarray) -> Figure:
    lineages = sorted(set(table["lineage"].astype(str)), key=natural)
    views: dict[str, Json] = {}
    most = 1
    for lineage in lineages:
        rows = np.flatnonzero((table["lineage"].astype(str) == lineage).to_numpy())[:SHOWN]
        # the first to peak on top; plotly counts rows from below
        rows = rows[np.argsort(-curves[rows].argmax(axis=1), kind="stable")]
        shown = table.iloc[rows]
        name = in_figure(lineage, 24)
        name = name if name not in views else f"{name} ({len(views) + 1})"  # what is cut may be alike
        views[name] = {"data": [_heat_map(shown, curves[rows])], "layout": _layout(shown["feature"])}
        most = max(most, len(rows))
    height = 90 + ROW_PIXELS * most
    as_list = "Lineage" if len(lineages) > 6 else ""
    return Figure(views, height, "Features along pseudotime, by lineage", as_list=as_list)


def _heat_map(table: pd.DataFrame, curves: np.ndarray) -> Json:
    low, span = curves.min(axis=1, keepdims=True), np.ptp(curves, axis=1, keepdims=True)
    said = [_said(row) for row in table.to_dict("records")]
    return {
        "type": "heatmap",
        "z": np.round((curves - low) / np.where(span > 0, span, 1), 3).tolist(),
        "x": np.linspace(0, 1, curves.shape[1]).round(3).tolist(),
        "y": list(range(len(table))),  # by names, rows of one name, and of names cut alike, would be one
        "customdata": [[text] * curves.shape[1] for text in said],
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorscale": SEQUENTIAL,
        "zmin": 0,
        "zmax": 1,
        "colorbar": {"title": {"text": "of its own range", "side": "right"}, "thickness": 12, "outlinewidth": 0},
    }


def _said(row: dict[Hashable, Any]) -> str:
    return (
        f"<b>{in_figure(row['feature'], 30)}</b> {row['direction']}<br>"
        f"peak at pseudotime {row['peak']:.2f}, size {row['size']:.2f}<br>"
        f"{row['explained']:.0%} of its variance, adjusted p {row['p_adjusted']:.2g}"
    )


def _layout(features: pd.Series) -> Json:
    rows = {"tickvals": list(range(len(features))), "ticktext": [in_figure(name, 24) for name in features]}
    return layout(
        xaxis=axis(title=axis_title("from the first to the last pseudotime of the lineage"), showgrid=False),
        yaxis=axis(showgrid=False, **rows),
        margin={"l": 110, "r": 16, "t": 10, "b": 50},
    )
