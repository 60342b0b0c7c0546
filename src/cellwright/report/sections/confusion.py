"""Confusion: which label held-out cells of each label were given, model by model.

Answers -> counts (true label, given label) -> shares of each true label; a view per model, and what is mistaken most

Labels that are mistaken for each other stand side by side, in one order for all models, so that errors lie near the
diagonal: the leaves of a hierarchical clustering, in the order of [BarJoseph01].
"""

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from cellwright.report.answers import Answers, answers_of
from cellwright.report.contents import Contents
from cellwright.report.names import name_of, names_of
from cellwright.report.section import Context, Section
from cellwright.report.text import counted, in_figure, listed, natural, short
from cellwright.report.theme import LINE, SEQUENTIAL, Figure, Json, axis, axis_title, layout

MOST_LABELS = 60  # beyond, a cell of the heat map is too small to be seen
WITH_NUMBERS = 16  # labels up to which the shares are written into the heat map
LEAST_WRITTEN = 0.005
NAMED = 3  # confusions named in the sentence
UNSURE = "unsure"


def context(contents: Contents) -> Context | None:
    """A figure per data set with answers on held-out cells; None where there is none."""
    blocks = [block for data in contents.data_names if (block := _block(contents, data)) is not None]
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Confusions", context)


def counts_of(answers: Answers) -> np.ndarray:
    """Cells by true label (row) and given label (column), the last column without an answer: (n, n + 1)."""
    n = len(answers.labels)
    table = np.zeros((n, n + 1), dtype=np.int64)
    np.add.at(table, (answers.codes, np.where(answers.answered, answers.predicted, n)), 1)
    return table


def order_of(labels: list[str], tables: list[np.ndarray]) -> list[int]:
    """The labels that have a cell or are given, those next to each other that are mistaken for each other."""
    pooled = np.sum([table[:, :-1] for table in tables], axis=0)
    there = [
        i for i in sorted(range(len(labels)), key=lambda i: natural(labels[i])) if pooled[i].any() or pooled[:, i].any()
    ]
    there = sorted(sorted(there, key=lambda i: -pooled[i].sum())[:MOST_LABELS], key=there.index)
    if len(there) < 3:
        return there
    shares = _shares(pooled)[np.ix_(there, there)]
    apart = 1 - np.clip(shares + shares.T, 0, 1)
    np.fill_diagonal(apart, 0)
    condensed = squareform(apart, checks=False)
    leaves = leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))
    return [there[leaf] for leaf in (leaves if leaves[0] < leaves[-1] else leaves[::-1])]


def _shares(table: np.ndarray) -> np.ndarray:
    """Each row by its sum; zero for a label without a cell."""
    sums = table.sum(axis=1, keepdims=True)
    return np.divide(table, sums, out=np.zeros(table.shape), where=sums > 0)


def _block(contents: Contents, data: str) -> Context | None:
    found = answers_of(contents, data)
    found = [answers for answers in found if answers.labels == found[0].labels]
    if not found:
        return None
    tables, names = [counts_of(answers) for answers in found], names_of(contents)
    order = order_of(found[0].labels, tables)
    labels = [found[0].labels[i] for i in order]
    any_unsure = any(table[:, -1].any() for table in tables)
    columns = [*order, len(found[0].labels)] if any_unsure else order
    views = {
        in_figure(name_of(names, answers.title), 34): _view(table[np.ix_(order, columns)], labels)
        for answers, table in zip(found, tables, strict=True)
    }
    side = 26 if len(order) > WITH_NUMBERS else 40
    figure = Figure(
        views, 150 + side * len(order), "Labels of held-out cells against the labels they were given", as_list="model"
    )
    n_left_out = len(found[0].labels) - len(order)
    return {
        "data": short(data),
        "figure": figure,
        "sentence": _most_mistaken(found[0], tables[0], name_of(names, found[0].title)),
        "pooled": counted(found[0].n_runs, "run"),
        "n_cells": f"{len(found[0].codes):,}",
        "any_unsure": any_unsure,
        "left_out": counted(n_left_out, "label") if n_left_out else "",
    }


def _most_mistaken(answers: Answers, table: np.ndarray, title: str) -> str:
    """The largest shares of a label that were given one other label, of the model that leads."""
    wrong = table[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    shares = _shares(table)[:, :-1] * (wrong > 0)
    worst = np.argsort(-shares, axis=None, kind="stable")[:NAMED]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(worst, wrong.shape), strict=True) if wrong[i, j]]
    if not pairs:
        return f"{title} mistook no held-out cell for another label."
    said = [
        f"{short(answers.labels[i], 30)} for {short(answers.labels[j], 30)} ({wrong[i, j]:,} of {table[i].sum():,})"
        for i, j in pairs
    ]
    return f"{title} mistakes most often {listed(said)}."


def _view(table: np.ndarray, labels: list[str]) -> Json:
    n = len(labels)
    given = [*labels, UNSURE][: table.shape[1]]
    shares, sizes = _shares(table), table.sum(axis=1)
    hover = [
        [
            f"{in_figure(true, 40)} ({sizes[i]:,} cells)<br>{_said(said, j == n)}: {table[i, j]:,} ({shares[i, j]:.0%})"
            for j, said in enumerate(given)
        ]
        for i, true in enumerate(labels)
    ]
    trace: Json = {
        "type": "heatmap", "z": np.round(100 * shares, 1).tolist(), "x": list(range(len(given))), "y": list(range(n)),
        "xgap": 1, "ygap": 1, "zmin": 0, "zmax": 100, "colorscale": SEQUENTIAL,
        "hovertext": hover, "hovertemplate": "%{hovertext}<extra></extra>",
        "colorbar": {"thickness": 10, "len": 1, "outlinewidth": 0, "tickfont": {"size": 10}, "ticksuffix": " %"},
    }  # fmt: skip
    if n <= WITH_NUMBERS:
        # a zero in every second field would hide where the mistakes are
        written = [[f"{100 * share:.0f}" if share >= LEAST_WRITTEN else "" for share in row] for row in shares]
        # without a size of its own plotly leaves out what has no room, as on a phone
        trace |= {"text": written, "texttemplate": "%{text}"}
    return {
        "data": [trace],
        "layout": _layout(labels, given, sizes, 24, -40),
        "narrow": _layout(labels, given, sizes, 12, -90),
    }


def _said(label: str, is_unsure: bool) -> str:  # noqa: FBT001
    return "called unsure" if is_unsure else f"given as {in_figure(label, 40)}"


def _layout(labels: list[str], given: list[str], sizes: np.ndarray, at_most: int, angle: int) -> Json:
    rows = [f"{in_figure(name, at_most)} ({size:,})" for name, size in zip(labels, sizes, strict=True)]
    columns = [in_figure(name, at_most) for name in given]
    return layout(
        xaxis=axis(
            tickvals=list(range(len(given))), ticktext=columns, side="bottom", showgrid=False, tickangle=angle,
            linecolor=LINE, title=axis_title("label given"),
        ),
        yaxis=axis(
            tickvals=list(range(len(labels))), ticktext=rows, showgrid=False, autorange="reversed",
            title=axis_title("true label (cells)"),
        ),
        margin={"l": 90, "r": 8, "t": 16, "b": 96},
    )  # fmt: skip
