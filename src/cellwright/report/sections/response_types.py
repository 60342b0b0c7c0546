"""Response by type: for each held-out type what every model scores, between no change and real cells.

leaderboard rows of a type -> a panel per type, a bar per model from no change to its mean, with its interval
"""

import math

import pandas as pd

from cellwright.report.contents import Contents, entry_title
from cellwright.report.names import name_of, names_of
from cellwright.report.responses import CEILING, COMPARED, FLOOR, TASK, held_out_kind, shown_titles, types_of
from cellwright.report.section import Context, Section
from cellwright.report.standing import half_widths
from cellwright.report.text import in_figure, number
from cellwright.report.theme import (
    FAINT_INK,
    INK,
    NO_CATEGORY,
    TRAINING,
    Figure,
    Json,
    axis,
    axis_name,
    grid,
    layout,
    layout_axis,
    panel_title,
)

BAR = 24  # pixels of height
BEYOND = 0.6  # of the way between floor and ceiling: what lies further outside is cut off, to keep the others apart
HEAD, GAP = 30, 62  # pixels above the first panel, between rows of panels


def context(contents: Contents) -> Context | None:
    """A figure with a view per measure; None where no type was scored."""
    board, titles, types = contents.leaderboard, shown_titles(contents), types_of(contents)
    rows = board[(board["task"] == TASK) & board["mean"].notna()]
    rows = rows.assign(
        title=[entry_title(model, setting) for model, setting in zip(rows["model"], rows["setting"], strict=True)],
        half=half_widths(rows),
    )
    measures = [metric for metric in COMPARED if metric in set(rows["metric"])]
    if not titles or not types or not measures:
        return None
    titles = [title for title in titles if title != FLOOR]  # a line
    short_names = names_of(contents)
    names = {title: name_of(short_names, title) for title in titles}
    baselines = set(rows.loc[rows["is_baseline"], "title"])
    views = {}
    for metric in measures:
        of_metric = rows[rows["metric"] == metric].drop_duplicates(["title", "group"]).set_index(["title", "group"])
        views[COMPARED[metric]] = _view(of_metric, names, types, baselines)
    n_columns = min(2, len(types))
    figure = Figure(
        views,
        _height(len(titles), -(-len(types) // n_columns)),
        f"Scores of each model for each held-out {held_out_kind(contents)}",
        narrow_height=_height(len(titles), len(types)),
    )
    return {"figure": figure, "several_seeds": bool(rows["half"].notna().any())}


SECTION = Section("Response by held-out label", context)


def _height(n_bars: int, n_rows: int) -> int:
    return HEAD + 34 + n_rows * (BAR * n_bars) + (n_rows - 1) * GAP


def _view(rows: pd.DataFrame, names: dict[str, str], types: list[str], baselines: set[str]) -> Json:
    """`rows` are those of one metric, by title and type."""
    lower = bool((rows["better"] == "lower").any())
    traces: list[Json] = []
    shapes: list[Json] = []
    ends: list[list[float]] = []
    for i, group in enumerate(types):
        floor, ceiling = (_mean(rows, title, group) for title in (FLOOR, CEILING))
        here = [title for title in names if (title, group) in rows.index]
        ends.append(_ends(rows, here, group, floor, ceiling))
        traces.append(_bars(rows, here, group, names, baselines, floor, i))
        shapes += [
            _line(i, value, look)
            for value, look in ((floor, {"color": FAINT_INK, "dash": "dot"}), (ceiling, {"color": "#1e8a5a"}))
            if math.isfinite(value)
        ]
    same = {"shapes": shapes, "showlegend": False, "bargap": 0.34, "hovermode": "closest"}
    look = (names, types, [end[::-1] for end in ends] if lower else ends)
    return {
        "data": traces,
        "layout": layout(**same, **_axes(*look, n_columns=min(2, len(types)), left=165)),
        "narrow": layout(**same, **_axes(*look, n_columns=1, left=118)),
    }


def _ends(rows: pd.DataFrame, titles: list[str], group: str, floor: float, ceiling: float) -> list[float]:
    """The ends of an axis, ascending: what is drawn, but no more than `BEYOND` of the way outside floor and ceiling."""
    known = [value for value in (floor, ceiling) if math.isfinite(value)]
    halves = rows["half"].fillna(0.0)
    drawn = [_mean(rows, t, group) + sign * float(halves[t, group]) for t in titles for sign in (-1, 1)]
    low, high = min([*drawn, *known]), max([*drawn, *known])
    if len(known) > 1 and floor != ceiling:
        room = BEYOND * abs(ceiling - floor)
        low, high = max(low, min(known) - room), min(high, max(known) + room)
    edge = 0.04 * (high - low) or 0.1
    return [round(low - edge, 4), round(high + edge, 4)]


def _mean(rows: pd.DataFrame, title: str, group: str) -> float:
    return float(rows["mean"].get((title, group), math.nan))


def _bars(
    rows: pd.DataFrame,
    titles: list[str],
    group: str,
    names: dict[str, str],
    baselines: set[str],
    floor: float,
    index: int,
) -> Json:
    means = [_mean(rows, title, group) for title in titles]
    start = floor if math.isfinite(floor) else 0.0
    halves = [float(rows["half"][title, group]) for title in titles]
    place = {title: i for i, title in enumerate(names)}
    return {
        "type": "bar", "orientation": "h", "y": [place[title] for title in titles],
        "x": [round(mean - start, 5) for mean in means], "base": round(start, 5),
        "error_x": {
            "type": "data", "array": [0 if math.isnan(half) else round(half, 5) for half in halves],
            "color": INK, "thickness": 1.2, "width": 3, "visible": not all(map(math.isnan, halves)),
        },
        "marker": {"color": ["#b3b9bf" if title in baselines else TRAINING for title in titles]},
        "text": [_hover(names[title], mean, half) for title, mean, half in zip(titles, means, halves, strict=True)],
        "textposition": "none", "hovertemplate": "%{text}<extra></extra>",
        "xaxis": axis_name("x", index), "yaxis": axis_name("y", index),
    }  # fmt: skip


def _hover(name: str, mean: float, half: float) -> str:
    around = "" if math.isnan(half) else f" ± {number(half)}"
    return f"{in_figure(name, 70)}: {number(mean)}{around}"


def _line(index: int, value: float, look: Json) -> Json:
    where = {"xref": axis_name("x", index), "yref": f"{axis_name('y', index)} domain"}
    return {"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "line": {"width": 1.6, **look}, **where}


def _axes(names: dict[str, str], types: list[str], ends: list[list[float]], *, n_columns: int, left: int) -> Json:
    n_rows = -(-len(types) // n_columns)
    inner = n_rows * BAR * len(names) + (n_rows - 1) * GAP
    places = grid(len(types), n_columns, gap_x=0.05, gap_y=GAP / inner if n_rows > 1 else 0.0)
    axes: Json = {}
    shown = [in_figure(name, 24 if left > 130 else 17) for name in names.values()]
    for i, (across, up) in enumerate(places):
        first = i % n_columns == 0
        axes[layout_axis("x", i)] = axis(
            domain=across, anchor=axis_name("y", i), nticks=6, automargin=False, range=ends[i],
        )  # fmt: skip
        axes[layout_axis("y", i)] = axis(
            domain=up, anchor=axis_name("x", i), range=[len(names) - 0.5, -0.5], showgrid=False, automargin=False,
            tickvals=list(range(len(names))), ticktext=shown if first else [""] * len(names), linecolor=NO_CATEGORY,
        )  # fmt: skip
    titles = [
        panel_title(in_figure(name, 40), across[0], up[1]) for name, (across, up) in zip(types, places, strict=True)
    ]
    return {**axes, "annotations": titles, "margin": {"l": left, "r": 14, "t": HEAD, "b": 34}}
