"""Markers: the features that set a cluster apart, as a dot plot and a table.

uns["markers"] of the best model that has them -> FEW per cluster in the table, all on demand -> dots for the first ones
"""

import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, number, short
from cellwright.report.theme import DOTS_SCALE, FAINT_INK, Figure, Json, axis, layout

FEW = 5  # features of a cluster that are listed at first sight
DOTS = 3  # features of a cluster that get a place in the dot plot
MOST_DOTS = 90  # features in one dot plot; beyond, names cannot be read
NUMBERS = {
    "log2_fold_change": "log2 fold change",
    "mean_in": "mean in",
    "mean_out": "mean out",
    "fraction_in": "fraction in",
    "fraction_out": "fraction out",
    "effect_size": "effect size",
    "p_value": "p",
    "p_adjusted": "adjusted p",
}
_HOVER = "%{text}<br>log2 fold change %{marker.color:.2f}, in %{customdata:.0%} of its cells<extra></extra>"
_NEEDED = {"cluster", "feature"}


def context(contents: Contents) -> Context | None:
    """A block per data set: the markers of the best model that has some."""
    blocks = []
    for data in contents.data_names:
        tables = [(run, _markers(run)) for run in best_first(contents, data)]
        found = [(run, table) for run, table in tables if table is not None]
        if found:
            blocks.append(_block(data, *found[0]))
    return {"blocks": blocks, "few": FEW, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Markers", context)


def _markers(run: StoredRun) -> pd.DataFrame | None:
    table = run.cells.markers if run.cells else None
    return table if table is not None and set(table.columns) >= _NEEDED else None


def _block(data: str, run: StoredRun, found: pd.DataFrame) -> Context:
    table = found.assign(cluster=found["cluster"].astype(str), feature=found["feature"].astype(str))
    clusters = sorted(set(table["cluster"]), key=natural)
    columns = [name for name in NUMBERS if name in table]
    rows = [_cluster(name, table[table["cluster"] == name], columns) for name in clusters]
    return {
        "data": short(data),
        "model": short(run.title),
        "seed": run.record.seed,
        "titles": [NUMBERS[name] for name in columns],
        "clusters": rows,
        "figure": _dots(table, clusters) if {"log2_fold_change", "fraction_in"} <= set(table) else None,
    }


def _cluster(name: str, table: pd.DataFrame, columns: list[str]) -> Context:
    ordered = table.sort_values("rank") if "rank" in table else table
    features = [short(feature, 40) for feature in ordered["feature"]]
    values = ordered[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float).tolist()
    cells = [[{"value": value, "text": number(value, 3 if abs(value) < 10 else 1)} for value in row] for row in values]
    return {"name": short(name), "features": features, "rows": list(zip(features, cells, strict=True))}


def _dots(table: pd.DataFrame, clusters: list[str]) -> Figure:
    ordered = table.sort_values("rank") if "rank" in table else table
    first = [f for name in clusters for f in ordered.loc[ordered["cluster"] == name, "feature"][:DOTS]]
    features = list(dict.fromkeys(first))[:MOST_DOTS]
    across, up = {name: i for i, name in enumerate(features)}, {name: i for i, name in enumerate(clusters)}
    shown = ordered[ordered["feature"].isin(features)]
    change, fraction = (
        pd.to_numeric(shown[c], errors="coerce").fillna(0.0) for c in ("log2_fold_change", "fraction_in")
    )
    trace: Json = {
        "type": "scatter",
        "mode": "markers",
        "x": [across[name] for name in shown["feature"]],
        "y": [up[name] for name in shown["cluster"]],
        "text": [
            f"{in_figure(f)}, cluster {in_figure(c)}" for f, c in zip(shown["feature"], shown["cluster"], strict=True)
        ],
        "customdata": [round(float(value), 3) for value in fraction],
        "hovertemplate": _HOVER,
        "marker": _marker(change, fraction),
    }
    look = layout(
        xaxis=_names(features, tickangle=-60),
        yaxis=_names([f"cluster {name}" for name in clusters], autorange="reversed"),
        margin={"l": 80, "r": 8, "t": 30, "b": 90},
    )
    return Figure({"": {"data": [trace], "layout": look}}, 150 + 28 * len(clusters), "Marker features by cluster")


def _marker(change: pd.Series, fraction: pd.Series) -> Json:
    return {
        "size": [
            round(18 * float(value) ** 0.5, 1) for value in fraction.clip(0, 1)
        ],  # so that the area is the fraction
        "sizemin": 2,
        "color": [round(float(value), 3) for value in change],
        "colorscale": DOTS_SCALE,
        "line": {"width": 0.5, "color": FAINT_INK},
        "colorbar": {"title": {"text": "log2 fold change", "side": "right"}, "thickness": 10, "outlinewidth": 0},
    }


def _names(names: list[str], **changes: object) -> Json:
    shown = [in_figure(name, 24) for name in names]
    return axis(tickvals=list(range(len(names))), ticktext=shown, **changes)
