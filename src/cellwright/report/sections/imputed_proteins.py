"""Imputed proteins: how each protein ranks cells as its gene does, with the gene as measured and as imputed.

proteins.csv of the run that is shown of each model -> a row per protein, from a ring (measured) to a dot (imputed), a
list of models; the means over seeds in a sentence
"""

import numpy as np
import pandas as pd

from cellwright.metrics.harm import FLOOR
from cellwright.report.contents import Contents, StoredRun
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.recovery import PROTEIN, shown_runs, standing_of
from cellwright.report.score_table import spread
from cellwright.report.section import Context, Section
from cellwright.report.standing import Standing
from cellwright.report.text import in_figure, listed, natural, number
from cellwright.report.theme import (
    FAINT_INK,
    TRAINING,
    VALIDATION,
    Figure,
    Json,
    axis,
    axis_title,
    layout,
    legend_above,
)

MOST_PROTEINS = 60  # those that some RNA ranks best
ROW, TOP, BOTTOM = 24, 40, 50  # pixels
RISES, FALLS = TRAINING, VALIDATION
Key = tuple[str, str]  # protein, gene


def context(contents: Contents) -> Context | None:
    """A figure with a view per model; None without a proteins.csv."""
    standing = standing_of(contents)
    tables = {title: table for title, run in shown_runs(contents).items() if len(table := _table(run))}
    if standing is None or not tables:
        return None
    names = names_of(contents)
    values = pd.concat([table[["measured", "imputed"]].max(axis=1) for table in tables.values()], axis=1)
    every = values.max(axis=1)
    shown = every.nlargest(MOST_PROTEINS).index
    first = next(iter(tables.values()))
    order = sorted(shown, key=lambda key: (-first["measured"].get(key, -1.0), natural(key[0])))
    ends = _ends([table.reindex(order) for table in tables.values()])
    figure = Figure(
        {name_of(names, title): _view(table.reindex(order), ends) for title, table in tables.items()},
        TOP + BOTTOM + ROW * len(order),
        "Correlation of each protein with its gene, measured and imputed",
        as_list="Model",
    )
    return {"figure": figure, "means": _means(standing, names), "n_shown": len(order), "n_proteins": len(every)}


SECTION = Section("Imputed RNA and proteins", context)


def _table(run: StoredRun) -> pd.DataFrame:
    """`measured` and `imputed` by protein and gene; a protein that does not vary has no correlation."""
    table = run.table("proteins.csv", ["protein", "gene"], ["measured", "imputed"]).dropna()
    return table.drop_duplicates(["protein", "gene"]).set_index(["protein", "gene"])


def _means(standing: Standing, names: dict[str, Name]) -> str:
    """The mean correlation of every model over seeds, the RNA as measured first."""
    ranked = standing.ranked(PROTEIN)
    said = [
        f"{'RNA as measured' if entry.title == FLOOR else name_of(names, entry.title)} "
        f"{number(entry.scores[PROTEIN].mean)}{spread(entry.scores[PROTEIN].half_width)}"
        for entry in sorted(ranked, key=lambda entry: entry.title != FLOOR)
    ]
    return f"Mean rank correlation over proteins: {listed(said, 12)}." if said else ""


def _ends(tables: list[pd.DataFrame]) -> list[float]:
    values = np.concatenate([table.to_numpy(float).ravel() for table in tables])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    edge = 0.04 * (high - low) or 0.1
    return [round(low - edge, 3), round(high + edge, 3)]


def _view(table: pd.DataFrame, ends: list[float]) -> Json:
    rows = list(range(len(table)))
    same = {"type": "scatter", "mode": "markers", "y": rows, "hovertemplate": "%{text}<extra></extra>"}
    hover = [_hover(key, *map(float, line)) for key, line in zip(table.index, table.to_numpy(float), strict=True)]
    colours = [RISES if after >= before else FALLS for before, after in table.to_numpy(float)]
    ring = {"color": "#ffffff", "size": 9, "line": {"color": FAINT_INK, "width": 1.6}}
    traces = [
        {**same, "x": _rounded(table["measured"]), "text": hover, "name": "measured", "marker": ring},
        {**same, "x": _rounded(table["imputed"]), "text": hover, "name": "imputed",
         "marker": {"color": colours, "size": 10}},
    ]  # fmt: skip
    lines = [
        {"type": "line", "x0": before, "x1": after, "y0": row, "y1": row, "layer": "below",
         "line": {"color": colour, "width": 2.5}}
        for row, before, after, colour in zip(rows, *map(_rounded, (table["measured"], table["imputed"])), colours,
                                              strict=True)
        if before is not None and after is not None
    ]  # fmt: skip
    return {
        "data": traces,
        "layout": _layout([_name(key) for key in table.index], ends, lines, 200),
        "narrow": _layout([in_figure(protein, 14) for protein, _ in table.index], ends, lines, 112),
    }


def _hover(key: Key, before: float, after: float) -> str:
    return f"<b>{in_figure(key[0], 40)}</b> and {in_figure(key[1], 40)}: {number(before)}, imputed {number(after)}"


def _rounded(values: pd.Series) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def _layout(names: list[str], ends: list[float], lines: list[Json], left: int) -> Json:
    return layout(
        xaxis=axis(range=ends, title=axis_title("Spearman's correlation"), zeroline=True, zerolinecolor=FAINT_INK),
        yaxis=axis(
            tickvals=list(range(len(names))), ticktext=names, automargin=False,
            showgrid=False, range=[len(names) - 0.4, -0.6],
        ),
        shapes=lines, legend=legend_above(), hovermode="closest",
        margin={"l": left, "r": 12, "t": TOP, "b": BOTTOM},
    )  # fmt: skip


def _name(key: Key) -> str:
    protein, gene = key
    return in_figure(protein if protein == gene else f"{protein} · {gene}", 28)
