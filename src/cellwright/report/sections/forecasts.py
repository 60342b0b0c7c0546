"""Forecasts: how far each model is right, step by step, and a few held-out sequences with what was said of their end.

rows of the task `forecast` -> a sentence; a line per model over the steps ahead
forecasts.csv of the run that is shown of each model -> panels: what was seen, bands of what was said, what came
"""

import math

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun, entry_title
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.score_table import spread
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, number, short
from cellwright.report.theme import (
    FAINT_INK,
    INK,
    PALETTE,
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

TASK, ERROR, OFF = "forecast", "forecast_rmse", "coverage_error"
AHEAD = " ahead"  # behind the number of the step, in the column `group`
FORECAST = PALETTE[0]
BANDS = (("q05", "q95", "rgba(0,114,178,0.16)", "9 of 10"), ("q25", "q75", "rgba(0,114,178,0.32)", "half"))
QUANTILES = [name for band in BANDS for name in band[:2]]
N_COLUMNS, MOST_PANELS = 2, 6
PANEL, TOP, BOTTOM = 210, 66, 44  # pixels


def context(contents: Contents) -> Context | None:
    """Per data set a sentence, errors by step, and fans; None where nothing was forecast."""
    board = contents.leaderboard
    rows = board[(board["task"] == TASK) & board["mean"].notna()]
    if not len(rows):
        return None
    names = names_of(contents)
    titles = [entry_title(m, s) for m, s in zip(rows["model"], rows["setting"], strict=True)]
    parts = rows.assign(title=titles).groupby("data", sort=False)
    blocks = [_block(contents, str(data), part, names) for data, part in parts]
    return {"blocks": blocks, "name_data": len(blocks) > 1}


SECTION = Section("How sequences go on", context)


def _block(contents: Contents, data: str, rows: pd.DataFrame, names: dict[str, Name]) -> Context:
    errors = rows[rows["metric"] == ERROR]
    overall = errors[errors["group"] == ""].sort_values("mean")
    fans = {title: fan for title, run in contents.shown(data).items() if len(fan := _fan_table(run))}
    order = [title for title in overall["title"] if title in fans]
    return {
        "data": short(data),
        "sentences": _said(overall, rows, names) if len(overall) else [],
        "by_step": _by_step(errors[errors["group"].str.endswith(AHEAD)], list(overall["title"]), names),
        "fans": _fans({name_of(names, title): fans[title] for title in order}) if order else None,
    }


def _said(overall: pd.DataFrame, rows: pd.DataFrame, names: dict[str, Name]) -> list[str]:
    """Which is best, whether the best baseline is as good, and how its interval covers."""
    best = overall.iloc[0]
    text = f"Nearest to what came is {name_of(names, best['title'])} (error {_mean(best)})"
    baselines = overall[overall["is_baseline"]]
    if best["is_baseline"]:
        text += ", a baseline: no network is better."
    elif len(baselines):
        other = baselines.iloc[0]
        apart = other["mean"] - best["mean"]
        within = max(_half(best), _half(other))
        how = "ahead of" if apart > within else "not reliably ahead of"
        if math.isinf(within):
            how = "before (one seed, so the spread is unknown)"
        text += f", {how} the best baseline, {name_of(names, other['title'])} ({_mean(other)})."
    else:
        text += "."
    off = rows[(rows["metric"] == OFF) & (rows["group"] == "") & (rows["title"] == best["title"])]
    if len(off):
        text += f" Its interval for nine values in ten is off by {number(float(off['mean'].iloc[0]) * 100, 1)} points."
    return [text]


def _half(row: pd.Series) -> float:
    """Half the width of the interval; infinite where it is unknown."""
    half = (row["ci_high"] - row["ci_low"]) / 2
    return math.inf if math.isnan(half) else float(half)


def _mean(row: pd.Series) -> str:
    return number(row["mean"]) + spread((row["ci_high"] - row["ci_low"]) / 2)


def _by_step(rows: pd.DataFrame, titles: list[str], names: dict[str, Name]) -> Figure | None:
    """Error over steps ahead, a line per model, networks solid; None for a single step."""
    steps = rows["group"].str.removesuffix(AHEAD).astype(int)
    if steps.nunique() < 2:
        return None
    traces = []
    for at, title in enumerate(titles):
        of = rows[rows["title"] == title].assign(ahead=steps).sort_values("ahead")
        if len(of):
            traces.append(_line(of, in_figure(name_of(names, title), 30), PALETTE[at % len(PALETTE)]))
    look = layout(
        xaxis=axis(title=axis_title("steps ahead of what is seen"), dtick=1),
        yaxis=axis(title=axis_title("error (root mean square)"), rangemode="tozero"),
        legend=legend_above() | {"y": 1.0}, margin={"l": 60, "r": 16, "t": 70, "b": 46}, hovermode="closest",
    )  # fmt: skip
    return Figure({"error": {"data": traces, "layout": look}}, 380, "Error of each model by steps ahead")


def _line(of: pd.DataFrame, name: str, colour: str) -> Json:
    half = ((of["ci_high"] - of["ci_low"]) / 2).fillna(0.0)
    is_baseline = bool(of["is_baseline"].iloc[0])
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": of["ahead"].tolist(),
        "y": [round(float(v), 4) for v in of["mean"]],
        "error_y": {"type": "data", "array": [round(float(v), 4) for v in half], "color": colour, "thickness": 1},
        "line": {"color": colour, "width": 2, "dash": "dot" if is_baseline else "solid"}, "marker": {"size": 7},
        "hovertemplate": name + ", %{x} ahead: %{y:.3f}<extra></extra>",
    }  # fmt: skip


def _fan_table(run: StoredRun) -> pd.DataFrame:
    return run.table("forecasts.csv", ["row", "sequence", "quantity"], ["step", "seen", "value", "mean", *QUANTILES])


def _fans(tables: dict[str, pd.DataFrame]) -> Figure:
    """Panels of a few series, the same for all models, so that these can be compared."""
    first = next(iter(tables.values()))
    series = _chosen(first)
    n_rows = -(-len(series) // N_COLUMNS)
    height = TOP + BOTTOM + PANEL * n_rows
    views = {name: _view(table, series, N_COLUMNS, height) for name, table in tables.items()}
    narrow_height = TOP + BOTTOM + PANEL * len(series)
    for name, table in tables.items():
        views[name]["narrow"] = _view(table, series, 1, narrow_height)["layout"]
    return Figure(
        views, height, "Held-out sequences: seen, forecast and what came", narrow_height=narrow_height, as_list="Model"
    )


def _chosen(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Rows and series in turn, so that few panels show many of either; those of which something came."""
    came = table[(table["seen"] == 0) & table["value"].notna()]
    keys = came[["row", "sequence", "quantity"]].drop_duplicates()
    rows = list(dict.fromkeys(keys["row"]))
    what = list(dict.fromkeys(zip(keys["sequence"], keys["quantity"], strict=True)))
    there = set(keys.itertuples(index=False, name=None))
    turns = [(rows[i % len(rows)], *what[(i + i // len(rows)) % len(what)]) for i in range(len(rows) * len(what))]
    return [turn for turn in dict.fromkeys(turns) if turn in there][:MOST_PANELS]


def _view(table: pd.DataFrame, series: list[tuple[str, str, str]], n_columns: int, height: int) -> Json:
    traces: list[Json] = []
    axes: Json = {}
    titles = []
    inside = height - TOP - BOTTOM
    places = grid(len(series), n_columns, 0.09, min(0.3, 58 / inside * max(1, -(-len(series) // n_columns)) / 2))
    for at, ((row, sequence, quantity), (x, y)) in enumerate(zip(series, places, strict=True)):
        of = table[(table["row"] == row) & (table["sequence"] == sequence) & (table["quantity"] == quantity)]
        traces += _panel(of.sort_values("step"), at)
        axes[layout_axis("x", at)] = axis(domain=x, anchor=axis_name("y", at))
        axes[layout_axis("y", at)] = axis(domain=y, anchor=axis_name("x", at))
        titles.append(panel_title(in_figure(" · ".join(filter(None, (row, sequence, quantity))), 36), x[0], y[1]))
    look = layout(
        **axes, annotations=titles, legend=legend_above(), hovermode="closest",
        margin={"l": 46, "r": 12, "t": TOP, "b": BOTTOM},
    )  # fmt: skip
    return {"data": traces, "layout": look}


def _panel(of: pd.DataFrame, at: int) -> list[Json]:
    """Bands, mean, what was seen and what came, from back to front."""
    seen, ahead = of[of["seen"] == 1], of[of["seen"] == 0]
    common = {"type": "scatter", "xaxis": axis_name("x", at), "yaxis": axis_name("y", at), "showlegend": at == 0}
    start = seen.iloc[-1:].assign(**dict.fromkeys(("mean", *QUANTILES), seen["value"].iloc[-1:]))
    fan = pd.concat([start, ahead])
    traces: list[Json] = []
    for low, high, colour, name in BANDS:
        known = fan[fan[low].notna() & fan[high].notna()]
        if len(known) > 1:
            traces.append(
                common | {
                    "mode": "lines", "fill": "toself", "fillcolor": colour, "line": {"width": 0}, "hoverinfo": "skip",
                    "name": f"{name} of the draws", "legendgroup": name,
                    "x": [*_numbers(known["step"]), *_numbers(known["step"][::-1])],
                    "y": [*_numbers(known[low]), *_numbers(known[high][::-1])],
                }
            )  # fmt: skip
    hover = {"hovertemplate": "%{x:g}: %{y:.3g}<extra>%{fullData.name}</extra>"}
    mean = fan[fan["mean"].notna()]
    return [
        *traces,
        common | hover | {
            "mode": "lines", "name": "expected", "legendgroup": "expected", "line": {"color": FORECAST, "width": 2},
            "x": _numbers(mean["step"]), "y": _numbers(mean["mean"]),
        },
        common | hover | {
            "mode": "lines+markers", "name": "seen", "legendgroup": "seen",
            "line": {"color": FAINT_INK, "width": 1}, "marker": {"color": INK, "size": 5},
            "x": _numbers(seen["step"]), "y": _numbers(seen["value"]),
        },
        common | hover | {
            "mode": "markers", "name": "came", "legendgroup": "came",
            "marker": {"color": "#ffffff", "size": 8, "line": {"color": VALIDATION, "width": 2}},
            "x": _numbers(ahead["step"]), "y": _numbers(ahead["value"]),
        },
    ]  # fmt: skip


def _numbers(values: pd.Series) -> list[float | None]:
    return [round(float(value), 5) if np.isfinite(value) else None for value in values]
