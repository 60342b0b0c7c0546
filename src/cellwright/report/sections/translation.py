"""Translation: how well each modality of held-out cells is told from the others, model by model.

rows of the task `translate` -> a sentence per modality; a figure per modality: a row per model, its mean over all cells
with the interval over seeds, and a small dot for each label
"""

import math

import pandas as pd

from cellwright.report.contents import Contents, entry_title
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.score_table import spread
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, number, short
from cellwright.report.theme import (
    FAINT_INK,
    LINE,
    TRAINING,
    VALIDATION,
    Figure,
    Json,
    axis,
    axis_title,
    layout,
    legend_above,
)

ROW, TOP, BOTTOM = 46, 40, 50  # pixels
NETWORK, BASELINE = TRAINING, VALIDATION
OF_LABEL = ": "  # between a modality and a label, in the column `group`


def context(contents: Contents) -> Context | None:
    """Sentences and a figure with a view per modality; None where nothing was translated."""
    board = contents.leaderboard
    rows = board[(board["task"] == "translate") & (board["metric"] == "feature_pearson") & board["mean"].notna()]
    if not len(rows):
        return None
    names = names_of(contents)
    rows = rows.assign(title=[entry_title(m, s) for m, s in zip(rows["model"], rows["setting"], strict=True)])
    overall = rows[~rows["group"].str.contains(OF_LABEL, regex=False)]
    parts = {str(modality): part.sort_values("mean") for modality, part in overall.groupby("group", sort=False)}
    figure = Figure(
        {
            in_figure(modality, 30): _view(part, rows[rows["group"].str.startswith(modality + OF_LABEL)], names)
            for modality, part in parts.items()
        },
        TOP + BOTTOM + ROW * max(map(len, parts.values())),
        "Correlation over held-out cells of each modality as measured and as told from the others, by model",
    )
    return {
        "sentences": [_said(m, p, names) for m, p in parts.items()],
        "figure": figure,
        "several_seeds": bool((overall["n_seeds"] > 1).any()),
    }


SECTION = Section("One modality from the others", context)


def _said(modality: str, part: pd.DataFrame, names: dict[str, Name]) -> str:
    """Which is best, and whether the best baseline is as good: within the larger of the two half-widths."""
    best = part.iloc[-1]
    said = f"{short(modality, 40)} is told best by {name_of(names, best['title'])} ({_mean(best)})"
    baselines = part[part["is_baseline"]]
    if best["is_baseline"] or not len(baselines):
        return said + (", a baseline: no network is better." if best["is_baseline"] else ".")
    other = baselines.iloc[-1]
    within = max(_half(best), _half(other))
    how = "ahead of" if best["mean"] - other["mean"] > within else "not reliably ahead of"
    if math.isinf(within):
        how = "before (one seed, so the spread is unknown)"
    return f"{said}, {how} the best baseline, {name_of(names, other['title'])} ({_mean(other)})."


def _half(row: pd.Series) -> float:
    """Half the width of the interval; infinite where it is unknown."""
    half = (row["ci_high"] - row["ci_low"]) / 2
    return math.inf if math.isnan(half) else float(half)


def _mean(row: pd.Series) -> str:
    return number(row["mean"]) + spread((row["ci_high"] - row["ci_low"]) / 2)


def _view(part: pd.DataFrame, by_label: pd.DataFrame, names: dict[str, Name]) -> Json:
    titles = list(part["title"])
    traces = [_labels(by_label[by_label["title"].isin(titles)], titles)]
    for is_baseline, name, colour in ((True, "baseline", BASELINE), (False, "network", NETWORK)):
        if len(of_kind := part[part["is_baseline"] == is_baseline]):
            traces.append(_means(of_kind, titles, name, colour, names))
    text = [in_figure(name_of(names, title), 30) for title in titles]
    return {"data": traces, "layout": _layout(text, 220), "narrow": _layout([t[:16] for t in text], 120)}


def _means(part: pd.DataFrame, titles: list[str], name: str, colour: str, names: dict[str, Name]) -> Json:
    half = ((part["ci_high"] - part["ci_low"]) / 2).fillna(0.0)
    hover = [f"<b>{in_figure(name_of(names, row['title']), 40)}</b>: {_mean(row)}" for _, row in part.iterrows()]
    return {
        "type": "scatter", "mode": "markers", "name": name, "hovertemplate": "%{text}<extra></extra>", "text": hover,
        "x": [round(float(v), 4) for v in part["mean"]], "y": [titles.index(t) for t in part["title"]],
        "error_x": {"type": "data", "array": [round(float(v), 4) for v in half], "color": colour, "thickness": 2},
        "marker": {"color": colour, "size": 12},
    }  # fmt: skip


def _labels(rows: pd.DataFrame, titles: list[str]) -> Json:
    hover = [
        f"{in_figure(row['group'].split(OF_LABEL, 1)[1], 40)}: {number(row['mean'])}" for _, row in rows.iterrows()
    ]
    return {
        "type": "scatter", "mode": "markers", "name": "within one cell type", "text": hover,
        "hovertemplate": "%{text}<extra></extra>",
        "x": [round(float(v), 4) for v in rows["mean"]], "y": [titles.index(t) for t in rows["title"]],
        "marker": {"color": "#ffffff", "size": 7, "line": {"color": FAINT_INK, "width": 1.2}},
    }  # fmt: skip


def _layout(names: list[str], left: int) -> Json:
    return layout(
        xaxis=axis(title=axis_title("Pearson's correlation, mean over features"), zeroline=True, zerolinecolor=LINE),
        yaxis=axis(
            tickvals=list(range(len(names))), ticktext=names, automargin=False, range=[-0.6, len(names) - 0.4],
        ),
        legend=legend_above(), hovermode="closest", margin={"l": left, "r": 16, "t": TOP, "b": BOTTOM},
    )  # fmt: skip
