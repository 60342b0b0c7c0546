"""Per cell type: the scores of a metric for every group, as a heat map of models by groups.

leaderboard rows with a group -> a heat map per metric, groups by size, models best first
"""

import math
from dataclasses import dataclass

import pandas as pd

from cellwright.metrics import METRICS
from cellwright.report.augmentation import is_of_augmentation
from cellwright.report.contents import Contents, entry_title
from cellwright.report.integrations import is_of_integration
from cellwright.report.recovery import is_of_recovery
from cellwright.report.responses import is_of_responses
from cellwright.report.section import Context, Section
from cellwright.report.standing import in_sentence, metric_title, standings
from cellwright.report.text import counted, in_figure, natural, number, short
from cellwright.report.theme import LINE, SEQUENTIAL, Figure, Json, axis, layout


def context(contents: Contents) -> Context | None:
    """A figure per data set with scores per group; a button per metric, task and kind of cells."""
    elsewhere = (is_of_responses, is_of_augmentation, is_of_recovery, is_of_integration)
    if any(is_of(contents) for is_of in elsewhere):
        return None  # sections of their own
    board = contents.leaderboard
    # the groups of a forecast are steps ahead, and have a section of their own
    grouped = board[(board["group"] != "") & board["mean"].notna() & (board["task"] != "forecast")]
    blocks = [_block(contents, str(data), rows) for data, rows in grouped.groupby("data", sort=False)]
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Per cell type", context)


@dataclass(frozen=True)
class Grid:
    """One metric: values `(n_models, n_groups)`, NaN where there is no score."""

    metric: str
    better: str
    models: list[str]
    groups: list[str]
    sizes: dict[str, int]
    values: pd.DataFrame


def _block(contents: Contents, data: str, rows: pd.DataFrame) -> Context:
    sizes = contents.label_sizes(data)
    grids = {}
    for (task, metric, held_out), part in rows.groupby(["task", "metric", "held_out"], sort=False):
        several_tasks = part_of(rows, metric)["task"].nunique() > 1
        name = (
            metric_title(str(metric))
            + (f", {task}" if several_tasks else "")
            + (", held-out cells" if held_out else "")
        )
        grids[short(name)] = _grid(contents, data, str(metric), part, sizes)
    first = next(iter(grids.values()))
    n_models = max(len(grid.models) for grid in grids.values())
    figure = Figure(
        {name: _view(grid) for name, grid in grids.items()},
        160 + 34 * n_models,
        "Scores of each model for each cell type",
    )
    return {"data": short(data), "figure": figure, "sentence": hardest(first), "has_sizes": bool(sizes)}


def part_of(rows: pd.DataFrame, metric: object) -> pd.DataFrame:
    """The rows of one metric."""
    return rows[rows["metric"] == metric]


def _grid(contents: Contents, data: str, metric: str, rows: pd.DataFrame, sizes: dict[str, int]) -> Grid:
    titles = [entry_title(model, setting) for model, setting in zip(rows["model"], rows["setting"], strict=True)]
    values = rows.assign(title=titles).pivot_table(index="title", columns="group", values="mean")
    order = [entry.title for s in standings(contents.leaderboard) if s.data == data for entry in s.entries]
    models = [title for title in dict.fromkeys(order) if title in values.index]
    groups = sorted(values.columns, key=lambda name: (-sizes.get(name, 0), natural(name)))
    return Grid(metric, str(rows["better"].iloc[0]), models, groups, sizes, values.loc[models, groups])


def hardest(grid: Grid) -> str:
    """A sentence on the group that the models find hardest on average, and which model does best there."""
    if len(grid.groups) < 2:
        return ""
    sign = -1 if grid.better == "lower" else 1
    worst = str((sign * grid.values.mean(axis=0)).idxmin())
    column = grid.values[worst].dropna()
    size = f" ({counted(grid.sizes[worst], 'cell')})" if worst in grid.sizes else ""
    best = str((sign * column).idxmax())
    measure = f"mean {in_sentence(metric_title(grid.metric))} {number(float(column.mean()), 2)}"
    leader = f", best by {short(best)} ({number(float(column[best]), 2)})" if len(column) > 1 else ""
    return f"Hardest is {short(worst)}{size}: {measure}{leader}."


def _view(grid: Grid) -> Json:
    low, high = METRICS[grid.metric].bounds if grid.metric in METRICS else (math.nan, math.nan)
    across, up = list(range(len(grid.groups))), list(range(len(grid.models)))
    values = [[None if math.isnan(v) else round(v, 4) for v in row] for row in grid.values.to_numpy(float).tolist()]
    models, groups = [in_figure(name, 30) for name in grid.models], [_tick(name, grid.sizes) for name in grid.groups]
    trace: Json = {
        "type": "heatmap", "z": values, "x": across, "y": up, "xgap": 2, "ygap": 2, "hoverongaps": False,
        "colorscale": SEQUENTIAL, "reversescale": grid.better == "lower",
        "texttemplate": "%{z:.2f}", "textfont": {"size": 11},
        "text": [[f"{model}, {group}" for group in groups] for model in models],
        "hovertemplate": "%{text}: %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 10, "len": 1, "outlinewidth": 0, "tickfont": {"size": 10}},
    }  # fmt: skip
    if math.isfinite(low) and math.isfinite(high):
        trace |= {"zmin": low if grid.values.min().min() < 0 else max(low, 0), "zmax": high}
    look = layout(
        xaxis=axis(tickvals=across, ticktext=groups, side="bottom", showgrid=False, tickangle=-30, linecolor=LINE),
        yaxis=axis(tickvals=up, ticktext=models, showgrid=False, autorange="reversed"),
        margin={"l": 90, "r": 8, "t": 30, "b": 96},
    )
    return {"data": [trace], "layout": look}


def _tick(group: str, sizes: dict[str, int]) -> str:
    return in_figure(group, 26) + (f" ({sizes[group]:,})" if group in sizes else "")
