"""Composition: what the clusters consist of, by label and by batch, as stacked bars.

uns["composition"] (long form) of the best model that has it -> a view per `by` column
"""

import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, short
from cellwright.report.theme import Figure, Json, axis, axis_title, colours, layout, legend

_NEEDED = {"cluster", "by", "category", "n", "share_of_cluster"}


def context(contents: Contents) -> Context | None:
    """A figure per data set: the composition of the clusters of the best model that has one."""
    blocks = []
    for data in contents.data_names:
        tables = [(run, _composition(run)) for run in best_first(contents, data)]
        found = [(run, table) for run, table in tables if table is not None]
        for run, table in found[:1]:
            named = {"data": short(data), "model": short(run.title), "seed": run.record.seed}
            blocks.append({**named, "figure": _figure(table)})
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Composition", context)


def _composition(run: StoredRun) -> pd.DataFrame | None:
    table = run.cells.composition if run.cells else None
    return table if table is not None and set(table.columns) >= _NEEDED else None


def _figure(found: pd.DataFrame) -> Figure:
    table = found.assign(**{name: found[name].astype(str) for name in ("cluster", "by", "category")})
    clusters = sorted(set(table["cluster"]), key=natural)
    views = {f"by {short(by, 30)}": _view(rows, clusters) for by, rows in table.groupby("by", sort=False)}
    most = max(legend(rows["category"].nunique())[1] for _, rows in table.groupby("by"))
    return Figure(views, 80 + most + 28 * len(clusters), "Composition of each cluster")


def _view(rows: pd.DataFrame, clusters: list[str]) -> Json:
    up = {name: i for i, name in enumerate(clusters)}
    totals = rows.groupby("cluster")["n"].sum()
    traces = [
        _bars(rows[rows["category"] == name], name, colour, up) for name, colour in colours(rows["category"]).items()
    ]
    ticks = [f"{in_figure(name, 24)} ({int(totals.get(name, 0)):,})" for name in clusters]
    names, height = legend(rows["category"].nunique())
    look = layout(
        barmode="stack",
        bargap=0.25,
        xaxis=axis(range=[0, 1], tickformat=".0%", title=axis_title("share of the cluster")),
        yaxis=axis(tickvals=list(range(len(clusters))), ticktext=ticks, autorange="reversed", showgrid=False),
        legend=names,
        margin={"l": 80, "r": 16, "t": 28, "b": 46 + height},
    )
    return {"data": traces, "layout": look}


def _bars(rows: pd.DataFrame, name: str, colour: str, up: dict[str, int]) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": in_figure(name, 28),
        "x": [round(float(share), 4) for share in rows["share_of_cluster"]],
        "y": [up[cluster] for cluster in rows["cluster"]],
        "customdata": [int(n) for n in rows["n"]],
        "text": [f"{in_figure(name)} in cluster {in_figure(cluster)}" for cluster in rows["cluster"]],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{x:.1%}, %{customdata:,} cells<extra></extra>",
        "marker": {"color": colour, "line": {"width": 0.5, "color": "#ffffff"}},
    }
