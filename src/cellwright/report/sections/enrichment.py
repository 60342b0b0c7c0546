"""Enrichment: which cell types lie side by side more, or less, than if types were dealt out at random.

uns["enrichment"] of the best model that has it -> a heat map of z over pairs, significant ones marked
"""

import math

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, short
from cellwright.report.theme import DIVERGING, FAINT_INK, Figure, Json, axis, layout

_NEEDED = {"first", "second", "n_edges", "expected", "z", "p_adjusted"}
LEVEL = 0.05
MOST_Z = 30.0  # colours end there: types that fill regions of their own are far beyond, and all others would be pale


def context(contents: Contents) -> Context | None:
    """A figure per data set; None where no run has the table."""
    blocks = []
    for data in contents.data_names:
        found = [(run, table) for run in best_first(contents, data) if (table := _table(run.cells)) is not None]
        for run, table in found[:1]:
            by = run.label_key or "domain"
            blocks.append({"data": short(data), "by": short(by, 30), "figure": _figure(table)})
    return {"blocks": blocks, "name_data": len(blocks) > 1, "level": LEVEL} if blocks else None


SECTION = Section("What lies side by side", context)


def _table(cells: object) -> pd.DataFrame | None:
    table = getattr(cells, "enrichment", None)
    return table if table is not None and set(table.columns) >= _NEEDED else None


def _figure(table: pd.DataFrame) -> Figure:
    text = table.assign(first=table["first"].astype(str), second=table["second"].astype(str))
    mirrored = text.rename(columns={"first": "second", "second": "first"})
    both = pd.concat([text, mirrored]).drop_duplicates(["first", "second"])
    names = sorted(set(both["first"]), key=natural)
    of = {column: _square(both, column, names) for column in ("z", "n_edges", "expected", "p_adjusted")}
    shown = [in_figure(name, 24) for name in names]
    trace = _heat_map(of, names)
    height = 150 + max(22, min(44, 560 // max(1, len(names)))) * len(names)
    ticks = {"tickvals": list(range(len(names))), "ticktext": shown, "showgrid": False}
    look = layout(
        xaxis=axis(tickangle=-40, constrain="domain", constraintoward="left", **ticks),
        yaxis=axis(autorange="reversed", scaleanchor="x", constrain="domain", **ticks),
        margin={"l": 130, "r": 16, "t": 32, "b": 100},
    )
    return Figure({"z": {"data": [trace], "layout": look}}, height, "Enrichment of pairs among neighbours")


def _square(both: pd.DataFrame, column: str, names: list[str]) -> np.ndarray:
    return (
        both.pivot_table(index="first", columns="second", values=column).reindex(index=names, columns=names).to_numpy()
    )


def _heat_map(of: dict[str, np.ndarray], names: list[str]) -> Json:
    finite = np.abs(of["z"][np.isfinite(of["z"])])
    most = float(min(MOST_Z, finite.max(initial=1.0)))
    rows = [[_hover(of, names, i, j) for j in range(len(names))] for i in range(len(names))]
    insignificant = [["" if p < LEVEL else "·" for p in row] for row in of["p_adjusted"]]
    return {
        "type": "heatmap",
        "z": [[None if math.isnan(z) else round(float(z), 2) for z in row] for row in of["z"]],
        "text": insignificant,
        "texttemplate": "%{text}",
        "textfont": {"size": 20, "color": FAINT_INK},
        "customdata": rows,
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorscale": DIVERGING,
        "zmin": -most,
        "zmax": most,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": {"text": "z", "side": "right"}, "thickness": 12, "outlinewidth": 0},
    }


def _hover(of: dict[str, np.ndarray], names: list[str], i: int, j: int) -> str:
    pair = f"<b>{in_figure(names[i])} beside {in_figure(names[j])}</b>"
    if math.isnan(of["n_edges"][i, j]):
        return f"{pair}<br>not asked"
    edges = f"{of['n_edges'][i, j]:,.0f} edges, {of['expected'][i, j]:,.1f} expected"
    return f"{pair}<br>{edges}<br>z {of['z'][i, j]:.1f}, adjusted p {of['p_adjusted'][i, j]:.3g}"
