"""State transitions: which state each model says follows which, beside what followed in held-out sequences.

transitions.csv of the run that is shown of each model -> heat maps of states by states: what followed, then each model;
rows of the task `state_transitions` in a sentence
"""

import math

import numpy as np
import pandas as pd

from cellwright.report.contents import Contents, StoredRun, entry_title
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, listed, natural, number, short
from cellwright.report.theme import SEQUENTIAL, Figure, Json, axis, axis_title, layout

TASK, DIFFER = "state_transitions", "transition_l1"
WHAT_FOLLOWED = "what followed"
MOST_NAMED = 8


def context(contents: Contents) -> Context | None:
    """Per data set a sentence and a figure with a view per model; None without a transitions.csv."""
    names = names_of(contents)
    blocks = []
    for data in contents.data_names:
        tables = {title: table for title, run in contents.shown(data).items() if len(table := _table(run))}
        if tables:
            differ = _differ(contents, data)
            order = sorted(tables, key=lambda title: differ.get(title, math.inf))
            said = [f"{name_of(names, title)} {number(differ[title])}" for title in order if title in differ]
            blocks.append(
                {
                    "data": short(data),
                    "sentence": f"Share of moves that go elsewhere: {listed(said, MOST_NAMED)}." if said else "",
                    "figure": _figure({title: tables[title] for title in order}, names),
                }
            )
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Which state follows which", context)


def _table(run: StoredRun) -> pd.DataFrame:
    return run.table("transitions.csv", ["from", "to"], ["learned", "reference", "n"])


def _differ(contents: Contents, data: str) -> dict[str, float]:
    board = contents.leaderboard
    rows = board[(board["data"] == data) & (board["task"] == TASK) & (board["metric"] == DIFFER)]
    titles = [entry_title(m, s) for m, s in zip(rows["model"], rows["setting"], strict=True)]
    return {t: float(v) for t, v in zip(titles, rows["mean"], strict=True) if not math.isnan(v)}


def _figure(tables: dict[str, pd.DataFrame], names: dict[str, Name]) -> Figure:
    first = next(iter(tables.values()))
    states = sorted(set(first["from"]), key=natural)
    views = {WHAT_FOLLOWED: _view(first, "reference", states)}
    views |= {in_figure(name_of(names, title), 30): _view(table, "learned", states) for title, table in tables.items()}
    height = 150 + max(30, min(52, 520 // max(1, len(states)))) * len(states)
    return Figure(views, height, "Probability that a state follows another", as_list="Said by")


def _view(table: pd.DataFrame, column: str, states: list[str]) -> Json:
    shares = table.pivot_table(index="from", columns="to", values=column, dropna=False)
    values = shares.reindex(index=states, columns=states).to_numpy(float)
    sizes = table.drop_duplicates("from").set_index("from")["n"]
    rows = [f"{in_figure(s, 24)} ({int(sizes.get(s, 0))})" for s in states]
    columns = [in_figure(s, 24) for s in states]
    trace: Json = {
        "type": "heatmap", "z": [[None if np.isnan(v) else round(float(v), 4) for v in row] for row in values],
        "x": list(range(len(states))), "y": list(range(len(states))), "xgap": 2, "ygap": 2, "hoverongaps": False,
        "zmin": 0, "zmax": 1, "colorscale": SEQUENTIAL, "texttemplate": "%{z:.2f}", "textfont": {"size": 11},
        "text": [[f"{a} → {b}" for b in columns] for a in rows], "hovertemplate": "%{text}: %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 10, "len": 1, "outlinewidth": 0, "tickfont": {"size": 10}},
    }  # fmt: skip
    ticks = {"tickvals": list(range(len(states))), "showgrid": False}
    look = layout(
        xaxis=axis(ticktext=columns, tickangle=-40 if len(states) > 7 else 0, title=axis_title("next"), **ticks),
        yaxis=axis(ticktext=rows, autorange="reversed", title=axis_title("now (how often met)"), **ticks),
        margin={"l": 150, "r": 16, "t": 30, "b": 80},
    )
    return {"data": [trace], "layout": look}
