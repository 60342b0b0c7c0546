"""Theme: the colours of categories, and what all figures have in common.

The first colours are those of Okabe and Ito (2008, "Color universal design"), darkened where they are pale on white,
then those of Tol's muted scheme (2021, SRON/EPS/TN/09-002): distinct for the common kinds of colour blindness.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cellwright.report.text import natural

PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B5A300", "#332288",
    "#882255", "#44AA99", "#999933", "#CC6677", "#117733", "#AA4499", "#6B4C2A", "#88A0B8",
    "#DDCC77", "#5E3C99", "#A0C75C", "#F4A582", "#1B5E6B", "#B0879B", "#7A8B00", "#3E4A5C",
)  # fmt: skip
NO_CATEGORY = "#C9C8C2"
INK, FAINT_INK, LINE = "#1f2428", "#6a7077", "#e7e5df"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TRAINING, VALIDATION = "#0072B2", "#D55E00"
SEQUENTIAL = [[0.0, "#f6f8fa"], [0.25, "#cfe1ee"], [0.5, "#8fbbd9"], [0.75, "#3f86b8"], [1.0, "#0b4a7a"]]
# worse to better, as distinct for the colour-blind as the palette: brown, white, blue
DIVERGING = [[0.0, "#a8500f"], [0.25, "#e3ab7f"], [0.5, "#f7f6f3"], [0.75, "#8fbbd9"], [1.0, "#0b4a7a"]]
# a dot must be seen on white, so its scale starts darker than that of a filled cell
DOTS_SCALE = [[0.0, "#cfe1ee"], [0.5, "#3f86b8"], [1.0, "#0b3a61"]]
_CLEAR = "rgba(0,0,0,0)"

Json = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A plotly figure with one view per button, as JSON; `describes` is read out where it cannot be seen.

    A view is `{"data": [...], "layout": {...}}`; for a `kind` of its own the script on the page makes the data. A view
    may have a `narrow` layout as well, for the window of a phone, where the figure is `narrow_height` high. With
    `as_list` the views are chosen from a list instead of by buttons.
    """

    views: dict[str, Json]
    height: int
    describes: str
    kind: str = "plotly"
    shared: Json | None = None
    narrow_height: int | None = None
    as_list: str = ""  # what the list is called


def colours(categories: Iterable[str]) -> dict[str, str]:
    """A colour for each category, by its place in natural order; they repeat beyond the palette."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(set(categories), key=natural))}


def layout(**changes: Any) -> Json:
    """The layout that all figures share, with `changes`."""
    return {
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "modebar": {"bgcolor": _CLEAR, "color": "#b4b2aa", "activecolor": FAINT_INK},
        "margin": {"l": 60, "r": 16, "t": 30, "b": 46},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": LINE, "font": {"color": INK, "size": 12}, "align": "left"},
        **changes,
    }


def axis(**changes: Any) -> Json:
    """A quiet axis."""
    common = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True, "tickcolor": LINE}
    return {**common, "tickfont": {"color": FAINT_INK, "size": 11}, **changes}


def axis_title(text: str) -> Json:
    """What an axis shows, in small print."""
    return {"text": text, "font": {"size": 12, "color": FAINT_INK}, "standoff": 6}


def legend(n: int, *, on_top: bool = False) -> tuple[Json, int]:
    """A legend in a row along the bottom (or the top) of the figure, and the pixels of height that `n` names take."""
    place = {"y": 1, "yanchor": "top"} if on_top else {"y": 0, "yanchor": "bottom"}
    look = {"orientation": "h", "x": 0, "yref": "container", "itemsizing": "constant", "traceorder": "normal", **place}
    return look, 10 + 22 * -(-n // 5)


def legend_above() -> Json:
    """A legend in a row along the top, from the left edge of the figure."""
    edge = {"x": 0, "xref": "container", "y": 1, "yanchor": "top", "yref": "container"}
    return {"orientation": "h", "itemsizing": "constant", "traceorder": "normal", **edge}


def panel_title(text: str, x: float, y: float) -> Json:
    """A bold title at the left above a panel, in fractions of the figure; `text` is already escaped for plotly."""
    return {
        "text": f"<b>{text}</b>", "x": x, "y": y, "xref": "paper", "yref": "paper", "showarrow": False,
        "xanchor": "left", "yanchor": "bottom", "font": {"size": 13, "color": INK},
    }  # fmt: skip


def grid(n: int, n_columns: int, gap_x: float, gap_y: float) -> list[tuple[list[float], list[float]]]:
    """For each of `n` panels, row by row from the top: its extent in x and in y, in fractions of the figure."""
    n_rows = -(-n // n_columns)
    width, height = (1 - gap_x * (n_columns - 1)) / n_columns, (1 - gap_y * (n_rows - 1)) / n_rows
    places = []
    for i in range(n):
        left, top = (i % n_columns) * (width + gap_x), 1 - (i // n_columns) * (height + gap_y)
        places.append(([left, min(1.0, left + width)], [max(0.0, top - height), top]))
    return places


def axis_name(letter: str, index: int) -> str:
    """`x`, `x2`, `x3`, ... as traces name their axes."""
    return letter if index == 0 else f"{letter}{index + 1}"


def layout_axis(letter: str, index: int) -> str:
    """`xaxis`, `xaxis2`, ... as layouts name them."""
    return f"{letter}axis" + ("" if index == 0 else str(index + 1))
