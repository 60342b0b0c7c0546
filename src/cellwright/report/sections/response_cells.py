"""Response by cell: real control, real treated and predicted cells of each held-out type in one plane.

places.csv of the run that is shown of each model and type -> a panel per type, a list of models, an arrow from the
mean of the control cells to that of the treated ones and one to that of the predicted ones

The plane is that of the first two principal components of the real cells, so a prediction that leaves it is seen only
by what is left of it there.
"""

import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.names import name_of, names_of
from cellwright.report.responses import shown_runs, shown_titles, types_of
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure
from cellwright.report.theme import (
    TRAINING,
    VALIDATION,
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

KINDS = {
    "control": ("control", "#a9aeb4"),
    "treated": ("treated", VALIDATION),
    "predicted": ("predicted", TRAINING),
}
HEIGHT, NARROW, GAP, TOP = 330, 270, 84, 62  # pixels
Places = dict[str, dict[str, pd.DataFrame]]  # by title, by type


def context(contents: Contents) -> Context | None:
    """A figure with a view per model; None without a places.csv."""
    runs = shown_runs(contents, shown_titles(contents) or [run.title for run in contents.runs])
    places = {title: of_types for title, found in runs.items() if (of_types := _places(found))}
    if not places:
        return None
    found = dict.fromkeys(name for of_types in places.values() for name in of_types)
    order = [name for name in types_of(contents) if name in found]
    types = [*order, *[name for name in found if name not in order]]
    names = names_of(contents)
    ends = {name: _ends([of_types[name] for of_types in places.values() if name in of_types]) for name in types}
    views = {name_of(names, title): _view(of_types, types, ends) for title, of_types in places.items()}
    n_rows = -(-len(types) // min(2, len(types)))
    figure = Figure(
        views,
        TOP + n_rows * HEIGHT + (n_rows - 1) * GAP + 50,
        "Real and predicted cells in the plane of the real ones",
        narrow_height=TOP + len(types) * NARROW + (len(types) - 1) * GAP + 50,
        as_list="Model",
    )
    return {"figure": figure}


SECTION = Section("Before and after", context)


def _places(runs: list[StoredRun]) -> dict[str, pd.DataFrame]:
    tables = [run.table("places.csv", ["group", "kind"], ["x", "y", "share_x", "share_y"]) for run in runs]
    return {str(group): rows for table in tables for group, rows in table.dropna().groupby("group", sort=False)}


def _ends(tables: list[pd.DataFrame]) -> dict[str, list[float]]:
    """The ends of both axes: all real cells are seen, and predicted ones up to half as far again."""
    found = {}
    for letter in ("x", "y"):
        real = pd.concat([table.loc[table["kind"] != "predicted", letter] for table in tables])
        made = pd.concat([table.loc[table["kind"] == "predicted", letter] for table in tables])
        low, high = (float(real.min()), float(real.max())) if len(real) else (0.0, 1.0)
        room = (high - low) / 2 or 1.0
        low, high = min(low, max(low - room, _least(made, low))), max(high, min(high + room, -_least(-made, -high)))
        edge = 0.04 * (high - low)
        found[letter] = [round(low - edge, 3), round(high + edge, 3)]
    return found


def _least(values: pd.Series, otherwise: float) -> float:
    return float(values.min()) if len(values) else otherwise


def _view(of_types: dict[str, pd.DataFrame], types: list[str], ends: dict[str, dict[str, list[float]]]) -> Json:
    traces: list[Json] = []
    for i, name in enumerate(types):
        table = of_types.get(name)
        for kind, (said, colour) in KINDS.items():
            rows = table[table["kind"] == kind] if table is not None else pd.DataFrame(columns=["x", "y"])
            traces.append({
                "type": "scatter", "mode": "markers", "name": said, "legendgroup": kind, "showlegend": i == 0,
                "x": _rounded(rows["x"]), "y": _rounded(rows["y"]), "hoverinfo": "skip",
                "marker": {"color": colour, "size": 4.5, "opacity": 0.55},
                "xaxis": axis_name("x", i), "yaxis": axis_name("y", i),
            })  # fmt: skip
    return {
        "data": traces,
        "layout": _layout(of_types, types, ends, n_columns=min(2, len(types)), height=HEIGHT),
        "narrow": _layout(of_types, types, ends, n_columns=1, height=NARROW),
    }


def _rounded(values: pd.Series) -> list[float]:
    return [round(float(value), 2) for value in values]


def _layout(
    of_types: dict[str, pd.DataFrame],
    types: list[str],
    ends: dict[str, dict[str, list[float]]],
    *,
    n_columns: int,
    height: int,
) -> Json:
    n_rows = -(-len(types) // n_columns)
    inner = n_rows * height + (n_rows - 1) * GAP
    places = grid(len(types), n_columns, gap_x=0.08, gap_y=GAP / inner if n_rows > 1 else 0.0)
    axes: Json = {}
    notes: list[Json] = []
    for i, (name, (across, up)) in enumerate(zip(types, places, strict=True)):
        table = of_types.get(name)
        shares = [f" ({table[f'share_{letter}'].iloc[0]:.0%})" if table is not None else "" for letter in ("x", "y")]
        for letter, domain, other, share in (("x", across, "y", shares[0]), ("y", up, "x", shares[1])):
            title = axis_title(f"{'first' if letter == 'x' else 'second'} component{share}")
            axes[layout_axis(letter, i)] = axis(
                domain=domain, anchor=axis_name(other, i), range=ends[name][letter], title=title, nticks=5
            )
        notes.append(panel_title(in_figure(name, 40), across[0], up[1]))
        notes += _arrows(table, i) if table is not None else []
    margin = {"l": 48, "r": 8, "t": TOP, "b": 50}
    return layout(annotations=notes, legend=legend_above(), margin=margin, dragmode="pan", **axes)


def _arrows(table: pd.DataFrame, index: int) -> list[Json]:
    """From the mean of the control cells to that of the treated and to that of the predicted ones."""
    means = {kind: [round(float(rows[letter].mean()), 3) for letter in "xy"] for kind, rows in table.groupby("kind")}
    x, y = axis_name("x", index), axis_name("y", index)
    return [
        {
            "x": means[kind][0], "y": means[kind][1], "xref": x, "yref": y, "text": "",
            "ax": means["control"][0], "ay": means["control"][1], "axref": x, "ayref": y,
            "showarrow": True, "arrowhead": 2, "arrowwidth": 2.4, "arrowsize": 0.9, "arrowcolor": colour,
        }
        for kind, colour in (("treated", "#8f3f00"), ("predicted", "#004b78"))
        if kind in means and "control" in means
    ]  # fmt: skip
