"""Imputed types: for which cell types an imputation helps, and which it dissolves.

leaderboard rows of a type -> types (largest first) x models: deviance against the best baseline; F1 of the type's best
cluster against that of the measured values -> a heat map with a button for each, and sentences on the best network
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cellwright.metrics.harm import FLOOR
from cellwright.report.contents import Contents
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.recovery import DEVIANCE, best_baseline, by_type, standing_of
from cellwright.report.section import Context, Section
from cellwright.report.standing import Column, Standing
from cellwright.report.text import counted, in_figure, natural, number, short
from cellwright.report.theme import DIVERGING, Figure, Json, axis, layout

F1 = Column("cluster", "label_f1", "higher")
MOST_MODELS = 12  # the best by deviance, networks first
LEAST_SCALE = 0.05  # of a change: what is less is no strong colour, whatever the others are
ROW, HEAD = 25, 104  # pixels
_IN_WORDS = {DEVIANCE: "less deviance of hidden molecules", F1: "a better fit of the best cluster (F1)"}


@dataclass(frozen=True, eq=False)
class Change:
    """A measure against its reference, type by type; NaN where there is no score."""

    column: Column
    types: dict[str, int | None]  # the number of cells of each, where it is known
    models: list[str]  # titles
    reference: str  # the title of what they are held against
    ours: np.ndarray  # (n_types, n_models)
    theirs: np.ndarray  # (n_types,)
    gain: np.ndarray  # (n_types, n_models), above 0 where the model is better


def context(contents: Contents) -> Context | None:
    """A figure with a view per measure; None where no type was scored beside a reference."""
    standing = standing_of(contents)
    if standing is None:
        return None
    best = best_baseline(standing)
    changes = {
        "Hidden molecules": _change(contents, standing, DEVIANCE, best.title if best else "", relative=True),
        "Clusters": _change(contents, standing, F1, FLOOR, relative=False),
    }
    known = {title: change for title, change in changes.items() if change is not None and change.gain.size}
    if not known:
        return None
    networks = [entry.title for entry in standing.ranked(DEVIANCE) if not entry.is_baseline]
    names = names_of(contents)
    height = HEAD + ROW * max(len(change.types) for change in known.values())
    figure = Figure(
        {title: _view(change, networks, names) for title, change in known.items()},
        height,
        "Change of each cell type's scores by each model",
        narrow_height=height,
    )
    return {
        "figure": figure,
        "sentences": [said for change in known.values() for said in _said(change, networks, names)],
        "baseline": name_of(names, best.title) if best and "Hidden molecules" in known else "",
        "has_clusters": "Clusters" in known,
        "has_sizes": bool(contents.label_sizes(standing.data)),
    }


SECTION = Section("Imputed cell types", context)


def _change(contents: Contents, standing: Standing, column: Column, reference: str, *, relative: bool) -> Change | None:
    """Every model's scores against those of `reference`: their difference, or its share of the reference's score."""
    scores = by_type(contents, column.metric)
    if reference not in scores:
        return None
    sizes = contents.label_sizes(standing.data)
    types = sorted(map(str, scores.index), key=lambda name: (-sizes.get(name, 0), natural(name)))
    models = [title for title in _models(standing) if title in scores and title != reference]
    ours = scores.reindex(index=types, columns=models).to_numpy(float)
    theirs = scores[reference].reindex(types).to_numpy(float)
    scale = np.where(theirs > 0, theirs, np.nan) if relative else np.ones_like(theirs)
    gain = column.sign * (ours - theirs[:, None]) / scale[:, None]
    return Change(column, {name: sizes.get(name) for name in types}, models, reference, ours, theirs, gain)


def _models(standing: Standing) -> list[str]:
    """Titles, networks first, each kind best first; what imputes nothing comes last."""
    order = sorted(standing.ranked(DEVIANCE), key=lambda entry: (entry.title == FLOOR, entry.is_baseline))
    return [entry.title for entry in order][:MOST_MODELS]


def _view(change: Change, networks: list[str], names: dict[str, Name]) -> Json:
    types = [in_figure(name, 24) + ("" if n is None else f" ({n:,})") for name, n in change.types.items()]
    models = [name_of(names, title) for title in change.models]
    largest = _scale(change.gain[:, [title in networks for title in change.models]])
    trace: Json = {
        "type": "heatmap", "x": list(range(len(models))), "y": list(range(len(types))), "xgap": 2, "ygap": 2,
        "hoverongaps": False, "showscale": False, "colorscale": DIVERGING, "zmin": -largest, "zmax": largest,
        "z": [[None if math.isnan(value) else round(value, 5) for value in line] for line in change.gain.tolist()],
        "text": _cells(change, lambda i, j: _shown(change, change.column.sign * float(change.gain[i, j]))),
        "texttemplate": "%{text}",  # without a size of its own: it shrinks with the cells
        "customdata": _cells(change, lambda i, j: _hover(change, names, types[i], i, j)),
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    return {"data": [trace], "layout": _layout(models, types), "narrow": _layout(models, types, is_narrow=True)}


def _scale(gain: np.ndarray) -> float:
    """The change of full colour: nine of ten of the networks' are paler, whatever the far weaker baselines do."""
    known = np.abs(gain[np.isfinite(gain)])
    return round(max(LEAST_SCALE, float(np.quantile(known, 0.9))), 5) if len(known) else LEAST_SCALE


def _cells(change: Change, text: Callable[[int, int], str]) -> list[list[str]]:
    n_types, n_models = change.gain.shape
    known = np.isfinite(change.gain)
    return [[text(i, j) if known[i, j] else "" for j in range(n_models)] for i in range(n_types)]


def _shown(change: Change, value: float) -> str:
    """In few characters: of a deviance per cent (`−3.2`, `+57`), of an F1 hundredths (`+.12`)."""
    in_per_cent = change.column == DEVIANCE
    size = abs(100 * value) if in_per_cent else abs(value)
    text = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}" if in_per_cent else f"{size:.2f}".removeprefix("0")
    return "0" if not float(text) else f"{'−' if value < 0 else '+'}{text}"


def _hover(change: Change, names: dict[str, Name], type_name: str, i: int, j: int) -> str:
    model, reference = (in_figure(name_of(names, title), 60) for title in (change.models[j], change.reference))
    ours, theirs = number(float(change.ours[i, j])), number(float(change.theirs[i]))
    return f"<b>{type_name}</b><br>{model}: {ours}<br>{reference}: {theirs}"


def _layout(models: list[str], types: list[str], *, is_narrow: bool = False) -> Json:
    left, right, turn, longest = (112, 8, -90, 14) if is_narrow else (150, 34, -35, 22)
    quiet = {"showgrid": False, "ticks": "", "linecolor": "rgba(0,0,0,0)"}
    above = [in_figure(name, longest) for name in models]
    return layout(
        xaxis=axis(tickvals=list(range(len(models))), ticktext=above, side="top", tickangle=turn, **quiet),
        yaxis=axis(tickvals=list(range(len(types))), ticktext=types, autorange="reversed", **quiet),
        margin={"l": left, "r": right, "t": HEAD - 10, "b": 10},
    )


def _said(change: Change, networks: list[str], names: dict[str, Name]) -> Iterator[str]:
    """On the best network: in how many types it is better than the reference, where it gains and loses most."""
    title = next((title for title in networks if title in change.models), None)
    if title is None:
        return
    j = change.models.index(title)
    gain = change.gain[:, j]
    known = np.flatnonzero(np.isfinite(gain))
    if len(known) < 2:
        return
    best, worst = (int(known[at]) for at in (gain[known].argmax(), gain[known].argmin()))
    gained = "most gained" if gain[best] > 0 else "least lost"
    lost = "most lost" if gain[worst] < 0 else "least gained"
    yield (
        f"{name_of(names, title)} against {name_of(names, change.reference)}: {_IN_WORDS[change.column]} in "
        f"{(gain[known] > 0).sum()} of {counted(len(known), 'type')}; {gained} in {_told(change, best, j)}, "
        f"{lost} in {_told(change, worst, j)}."
    )


def _told(change: Change, i: int, j: int) -> str:
    name, size = list(change.types.items())[i]
    cells = "" if size is None else f"{counted(size, 'cell')}, "
    return f"{short(name)} ({cells}{number(float(change.theirs[i]), 2)} to {number(float(change.ours[i, j]), 2)})"
