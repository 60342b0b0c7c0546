"""Augment by class: what each remedy did for each class, rare ones first, as a heat map per classifier.

augment.csv, differences in F1 from no added cells -> a view per classifier, a row per class, a column per remedy
"""

import math

import pandas as pd

from cellwright.report.augmentation import HEADLINE, NONE, effects_of
from cellwright.report.contents import Contents, entry_title
from cellwright.report.findings import signed
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, natural, number
from cellwright.report.theme import DIVERGING, Figure, Json, axis, layout


def context(contents: Contents) -> Context | None:
    """A figure; None where no class was scored."""
    effects = effects_of(contents)
    of_classes = (effects["metric"] == HEADLINE) & (effects["against"] == NONE) & (effects["group"] != "")
    effects = effects[of_classes & effects["difference"].notna()]
    if not len(effects):
        return None
    sizes = effects.groupby("group")["n_cells"].mean()
    classes = sorted(sizes.index, key=lambda name: (math.isnan(sizes[name]), sizes[name], natural(name)))
    views = {
        entry_title(str(model), str(setting)): _view(part, classes, sizes)
        for (model, setting), part in effects.groupby(["model", "setting"], sort=False)
    }
    figure = Figure(views, 110 + 24 * len(classes), "Change of the F1 of each class by what was added")
    return {"figure": figure}


SECTION = Section("Added cells, by class", context)


def _view(effects: pd.DataFrame, classes: list[str], sizes: "pd.Series[float]") -> Json:
    remedies = list(dict.fromkeys(effects["remedy"]))
    place = {(row["group"], row["remedy"]): row for _, row in effects.iterrows()}
    cells = [[place.get((name, remedy)) for remedy in remedies] for name in classes]
    values = [[None if row is None else round(float(row["difference"]), 6) for row in line] for line in cells]
    largest = max((abs(value) for line in values for value in line if value is not None), default=0.0) or 1.0
    across, up = list(range(len(remedies))), list(range(len(classes)))
    trace: Json = {
        "type": "heatmap", "z": values, "x": across, "y": up, "xgap": 2, "ygap": 2, "hoverongaps": False,
        "colorscale": DIVERGING, "zmin": -largest, "zmax": largest, "showscale": False,
        "text": [[_shown(row) for row in line] for line in cells], "texttemplate": "%{text}", "textfont": {"size": 11},
        "customdata": [[_hover(row) for row in line] for line in cells],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    names = [in_figure(name, 34) + (f" ({sizes[name]:.0f})" if sizes[name] > 0 else "") for name in classes]
    columns = [in_figure(name, 22) for name in remedies]
    look = layout(
        xaxis=axis(tickvals=across, ticktext=columns, side="top", showgrid=False, linecolor="rgba(0,0,0,0)", ticks=""),
        yaxis=axis(tickvals=up, ticktext=names, showgrid=False, ticks="", autorange="reversed",
                   linecolor="rgba(0,0,0,0)"),
        margin={"l": 90, "r": 8, "t": 46, "b": 12},
    )  # fmt: skip
    return {"data": [trace], "layout": look}


def _shown(row: pd.Series | None) -> str:
    if row is None:
        return ""
    return signed(row["difference"])


def _hover(row: pd.Series | None) -> str:
    if row is None:
        return ""
    numbers = f"F1 {number(row['reference'])} to {number(row['with_remedy'])}, {signed(row['difference'])}"
    return f"<b>{in_figure(row['group'], 40)}</b>, {in_figure(row['remedy'], 40)}<br>{numbers}"
