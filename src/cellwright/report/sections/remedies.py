"""Remedies: what each remedy for unequal cell-type numbers did, against none, by type and on average.

remedies.csv -> a heat map of differences per measure (remedy and where x type, a star where it is beyond chance), and
a table of the tests over all types
"""

import math

import pandas as pd

from cellwright.report.contents import Contents, entry_title
from cellwright.report.findings import effect, gain, kind_of, signed
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.responses import COMPARED, remedies_of, types_of
from cellwright.report.section import Context, Section
from cellwright.report.text import MISSING, in_figure, natural, number, short
from cellwright.report.theme import DIVERGING, Figure, Json, axis, layout

STAR = "*"
EFFECTS = {"helped": "helped", "harmed": "did harm", "open": ""}


def context(contents: Contents) -> Context | None:
    """A heat map and a table with a view per measure; None where no remedy was tested."""
    tests = remedies_of(contents)
    tests = tests[tests["difference"].notna()]
    if not len(tests):
        return None
    names = names_of(contents)
    tests = tests.assign(label=_labels(tests, names))
    types = [*[name for name in types_of(contents) if name in set(tests["group"])], ""]
    measures = [metric for metric in COMPARED if metric in set(tests["metric"])]
    views = {COMPARED[metric]: _view(tests[tests["metric"] == metric], types) for metric in measures}
    n_arms = tests["label"].nunique()
    figure = Figure(views, 96 + 30 * n_arms, "Difference of each remedy from none, by type")
    tables = [{"title": COMPARED[metric], "rows": _table(tests, metric)} for metric in measures]
    return {"figure": figure, "tables": tables, "kind": kind_of(measures[0])}


SECTION = Section("Remedies for unequal numbers", context)


def _labels(tests: pd.DataFrame, names: dict[str, Name]) -> list[str]:
    several = tests[["model", "setting"]].drop_duplicates().shape[0] > 1
    columns = (tests[name] for name in ("model", "setting", "remedy", "where"))
    labels = []
    for model, setting, remedy, where in zip(*columns, strict=True):
        whose = f"{name_of(names, entry_title(model, setting))}: " if several else ""
        labels.append(f"{whose}{short(remedy, 40)} in {short(where, 20)}")
    return labels


def _view(tests: pd.DataFrame, types: list[str]) -> Json:
    """`tests` are those of one measure; columns are the types and all of them together, rows the remedies."""
    labels = list(dict.fromkeys(tests["label"]))
    place = {(row["label"], row["group"]): row for _, row in tests.iterrows()}
    cells = [[place.get((label, group)) for group in types] for label in labels]
    gains = [[None if row is None else round(gain(row), 6) for row in line] for line in cells]
    largest = max((abs(value) for line in gains for value in line if value is not None), default=0.0) or 1.0
    across, up = list(range(len(types))), list(range(len(labels)))
    columns = [in_figure(name, 22) if name else f"<b>{_all(tests)}</b>" for name in types]
    trace: Json = {
        "type": "heatmap", "z": gains, "x": across, "y": up, "xgap": 2, "ygap": 2, "hoverongaps": False,
        "colorscale": DIVERGING, "zmin": -largest, "zmax": largest, "showscale": False,
        "text": [[_shown(row) for row in line] for line in cells], "texttemplate": "%{text}", "textfont": {"size": 11},
        "customdata": [[_hover(row, _all(tests)) for row in line] for line in cells],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    look = layout(
        xaxis=axis(tickvals=across, ticktext=columns, side="top", showgrid=False, linecolor="rgba(0,0,0,0)", ticks=""),
        yaxis=axis(tickvals=up, ticktext=[in_figure(label, 44) for label in labels], showgrid=False, ticks="",
                   autorange="reversed", linecolor="rgba(0,0,0,0)"),
        margin={"l": 90, "r": 8, "t": 46, "b": 12},
    )  # fmt: skip
    return {"data": [trace], "layout": look}


def _shown(row: pd.Series | None) -> str:
    if row is None:
        return ""
    return f"{signed(row['difference'])}{'' if effect(row) == 'open' else ' ' + STAR}"


def _all(tests: pd.DataFrame) -> str:
    return f"all {kind_of(tests.iloc[0]['metric'])}s"


def _hover(row: pd.Series | None, everywhere: str) -> str:
    if row is None:
        return ""
    where = in_figure(row["group"], 40) or everywhere
    n = int(row["n_seeds"] if row["over"] == "seeds" else row["n_types"])
    tested = f"{row['over']}: {n}, p {number(row['p_t_holm'])}" if n > 1 else "one value, no test"
    return f"<b>{in_figure(row['label'], 60)}</b>, {where}<br>{_difference(row)}<br>{tested}"


def _difference(row: pd.Series) -> str:
    if math.isnan(row["ci_low"]):
        return signed(row["difference"])
    return f"{signed(row['difference'])} ({signed(row['ci_low'])} to {signed(row['ci_high'])})"


def _table(tests: pd.DataFrame, metric: str) -> list[Context]:
    """The tests over all types of one measure, and the change of the spread; best first."""
    overall = tests[(tests["metric"] == metric) & (tests["group"] == "")]
    spreads = tests[(tests["metric"] == f"{metric}_spread") & (tests["group"] == "")].set_index("label")["difference"]
    order = sorted(overall.iterrows(), key=lambda pair: (-gain(pair[1]), natural(pair[1]["label"])))
    return [
        {
            "label": row["label"],
            "effect": EFFECTS[effect(row)],
            "helped": effect(row) == "helped",
            "none": number(row["none"]),
            "with_remedy": number(row["with_remedy"]),
            "difference": signed(row["difference"]),
            "value": row["difference"],
            "around": "" if math.isnan(row["ci_low"]) else f"{signed(row['ci_low'])} to {signed(row['ci_high'])}",
            "p": [(number(row[name]), row[name]) for name in ("p_t", "p_t_holm", "p_wilcoxon", "p_wilcoxon_holm")],
            "n_types": f"{row['n_types']:.0f}",
            "n_seeds": f"{row['n_seeds']:.0f}",
            "spread": signed(spreads[row["label"]]) if row["label"] in spreads else MISSING,
            "spread_value": spreads.get(row["label"], math.nan),
        }
        for _, row in order
    ]
