"""History: how the loss fell on training and validation cells, and whether a model learnt its training cells by heart.

history.csv of the first finished run -> a panel per model, a button per loss term -> a sentence on overfitting
"""

import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.names import Name, names_of
from cellwright.report.recovery import is_of_recovery
from cellwright.report.responses import is_of_responses
from cellwright.report.section import Context, Section
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, number, short
from cellwright.report.theme import (
    FAINT_INK,
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
    legend,
    panel_title,
)

SPLITS = {"train": ("training", TRAINING), "validation": ("validation", VALIDATION)}
OVERFIT = 0.05  # a rise after the minimum is called overfitting from this share of the fall before it
_TOTALS = ("total", "loss", "elbo")
Curves = list[tuple[StoredRun, pd.DataFrame]]


def context(contents: Contents) -> Context | None:
    """A figure per data set, over the runs that are shown and have a history."""
    blocks = []
    names = names_of(contents) if is_of_responses(contents) or is_of_recovery(contents) else {}
    for data in contents.data_names:
        tables = [
            (run, run.table("history.csv", ["split", "term"], ["epoch", "value"])) for run in best_first(contents, data)
        ]
        curves = [(run, table.dropna()) for run, table in tables if len(table.dropna())]
        if curves:
            blocks.append(
                {
                    "data": short(data),
                    "figure": _figure(curves, names),
                    "sentences": [overfitting(*one, names) for one in curves],
                }
            )
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Training", context)


def terms(table: pd.DataFrame) -> list[str]:
    """The loss terms of a history, the total first."""
    found = list(dict.fromkeys(table["term"]))
    return sorted(found, key=lambda term: (term not in _TOTALS, found.index(term)))


def last_stage(table: pd.DataFrame) -> pd.DataFrame:
    """The epochs of the last stage of training: a stage has its own terms, so where these change another begins."""
    named = table.groupby("epoch")["term"].agg(frozenset).sort_index()
    begins = named.index[named != named.shift()]
    return table[table["epoch"] >= begins[-1]]


def overfitting(run: StoredRun, table: pd.DataFrame, names: dict[str, Name] | None = None) -> str:
    """Whether the validation loss rose again after its minimum, in numbers, and whether training was cut short.

    `names` are short ones by title, where the page has such.
    """
    said = _overfitting(run, last_stage(table), _name(run, names or {}))
    return f"{said} Training was stopped by the cap on epochs." if run.was_cut_short else said


def _name(run: StoredRun, names: dict[str, Name]) -> str:
    return short(names[run.title].text if run.title in names else run.title)


def _overfitting(run: StoredRun, table: pd.DataFrame, name: str) -> str:
    total = table[table["term"] == terms(table)[0]]
    curve = total[total["split"] == "validation"].sort_values("epoch")
    if len(curve) < 2:
        return f"{name}: no validation curve, so overfitting cannot be seen."
    endings = run.record.notes.get("endings")
    if isinstance(endings, list) and endings[-1:] == ["budget"]:
        return f"{name}: trained for all its epochs, for none of its losses tells when to stop."
    values, epochs = curve["value"].to_numpy(), curve["epoch"].to_numpy(int)
    first, last, lowest, at, end = values[0], values[-1], values.min(), epochs[values.argmin()], epochs[-1]
    said = f"{name}: the validation loss was lowest in epoch {at} ({number(lowest, 2)})"
    if at == end:
        return f"{said}, the last one; longer training may still help."
    fell, rose = first - lowest, last - lowest
    share = f"{rose / fell:.0%} of its fall" if fell > 0 else "without having fallen"
    judgement = "it overfits" if rose > OVERFIT * fell else "no sign of overfitting"
    kept = run.record.notes.get("best_epoch")
    judgement += (
        f", and the weights of epoch {kept} were kept" if isinstance(kept, int) and judgement == "it overfits" else ""
    )
    return f"{said} and rose by {number(rose, 2)} until epoch {end} ({share}): {judgement}."


def _figure(curves: Curves, names: dict[str, Name]) -> Figure:
    found = list(dict.fromkeys(term for _, table in curves for term in terms(table)))
    found.sort(key=lambda term: term not in _TOTALS)
    n_columns = min(3, len(curves))
    views = {short(term, 30): _view(curves, term, n_columns, names) for term in found}
    return Figure(views, 100 + 240 * -(-len(curves) // n_columns), "Loss by epoch, one panel per model")


def _view(curves: Curves, term: str, n_columns: int, names: dict[str, Name]) -> Json:
    places = grid(len(curves), n_columns, gap_x=0.08, gap_y=0.46 / -(-len(curves) // n_columns))
    traces: list[Json] = []
    axes: Json = {}
    titles, marks = [], []
    for i, ((run, table), (across, up)) in enumerate(zip(curves, places, strict=True)):
        traces += _lines(table[table["term"] == term], i)
        axes[layout_axis("x", i)] = axis(domain=across, anchor=axis_name("y", i), title=axis_title("epoch"))
        axes[layout_axis("y", i)] = axis(domain=up, anchor=axis_name("x", i), nticks=5)
        titles.append(panel_title(in_figure(_name(run, names), 32), across[0], up[1]))
        marks += _best_epoch(run, i)
    key, height = legend(len(SPLITS), on_top=True)
    look = layout(
        annotations=titles, shapes=marks, legend=key, margin={"l": 44, "r": 8, "t": 28 + height, "b": 44}, **axes
    )
    return {"data": traces, "layout": look}


def _lines(table: pd.DataFrame, index: int) -> list[Json]:
    traces = []
    for split, (name, colour) in SPLITS.items():
        curve = table[table["split"] == split].sort_values("epoch")
        traces.append({
            "type": "scatter", "mode": "lines", "name": name, "legendgroup": split, "showlegend": index == 0,
            "x": [int(epoch) for epoch in curve["epoch"]], "y": [float(f"{value:.6g}") for value in curve["value"]],
            "line": {"color": colour, "width": 2}, "xaxis": axis_name("x", index), "yaxis": axis_name("y", index),
            "hovertemplate": f"{name}, epoch %{{x}}: %{{y:.5g}}<extra></extra>",
        })  # fmt: skip
    return traces


def _best_epoch(run: StoredRun, index: int) -> list[Json]:
    best = run.record.notes.get("best_epoch")
    if not isinstance(best, int | float):
        return []
    line = {"color": FAINT_INK, "width": 1, "dash": "dot"}
    where = {"xref": axis_name("x", index), "yref": f"{axis_name('y', index)} domain"}
    return [{"type": "line", "x0": best, "x1": best, "y0": 0, "y1": 1, "line": line, **where}]
