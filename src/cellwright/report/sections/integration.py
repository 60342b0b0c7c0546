"""Integration: which model to use, the warning about confounding, and one table of bio, batch and total.

recommendation.csv, confounding.csv -sentences-> the answer;  leaderboard -> a row per model, best total first
"""

from collections.abc import Sequence
from itertools import groupby

from cellwright.metrics import METRICS
from cellwright.report.contents import Contents
from cellwright.report.integrations import (
    confounding_of,
    is_true,
    recommendation_of,
    sentences,
    standing_of,
    title_of,
    warning,
)
from cellwright.report.names import Name, name_of, names_of, shared_by_settings
from cellwright.report.score_table import Heading, Strip, between_ends, row
from cellwright.report.section import Context, Section
from cellwright.report.standing import Column, Entry, Standing
from cellwright.report.text import short

# the band that a measure stands in, and its title where the metric's own is too long for a column
SHOWN = {
    "integration_total": ("totals", "total"),
    "bio_total": ("totals", "bio"),
    "batch_total": ("totals", "batch"),
    "time_order": ("biology", "order in time"),
    "ari": ("biology", "k-means ARI"),
    "leiden_ari": ("biology", "Leiden ARI"),
    "leiden_nmi": ("biology", "Leiden NMI"),
    "silhouette": ("biology", "silhou\u00adette"),
    "isolated_labels": ("biology", "isolated labels"),
    "clisi": ("biology", "cLISI"),
    "ilisi": ("batches", "iLISI"),
    "kbet": ("batches", "kBET"),
    "bras": ("batches", "BRAS"),
    "graph_connectivity": ("batches", "connec\u00adtivity"),
    "pc_regression": ("batches", "PC regres\u00adsion"),
}
STRIPS = ("integration_total", "bio_total", "batch_total")


def context(contents: Contents) -> Context | None:
    """Sentences and a table; None for a folder that is not about integrations."""
    standing = standing_of(contents)
    if standing is None:
        return None
    recommendation, confounding = recommendation_of(contents), confounding_of(contents)
    warned = warning(confounding)
    found = {column.metric: column for column in standing.columns}
    columns = [found[metric] for metric in SHOWN if metric in found]
    names = names_of(contents)
    lines = {title_of(line): line for line in recommendation.to_dict("records")}
    return {
        "answer": [said for said in sentences(recommendation, confounding) if said not in warned],
        "warning": warned,
        "headings": [_heading(column, standing.main) for column in columns],
        "bands": _bands(columns),
        "rows": [_row(contents, standing, entry, columns, names, lines) for entry in standing.entries],
        "meaning": {_plain(column): METRICS[column.metric].title for column in columns if column.metric in METRICS},
        "several_seeds": any(score.n_seeds > 1 for entry in standing.entries for score in entry.scores.values()),
        "shared": shared_by_settings(standing, names),
    }


SECTION = Section("Integration", context)


def _plain(column: Column) -> str:
    return SHOWN[column.metric][1].replace("\u00ad", "")


def _heading(column: Column, main: Column | None) -> Heading:
    return Heading("", SHOWN[column.metric][1], column.better, column == main)


def _bands(columns: Sequence[Column]) -> list[Context]:
    bands = groupby(SHOWN[column.metric][0] for column in columns)
    return [{"title": title, "n": len(list(of))} for title, of in bands]


def _row(
    contents: Contents,
    standing: Standing,
    entry: Entry,
    columns: Sequence[Column],
    names: dict[str, Name],
    lines: dict[str, dict[object, object]],
) -> Context:
    line = lines.get(short(entry.title, 60), {})
    made = row(standing, entry, columns, _strips(standing))
    cells = made["cells"]
    assert isinstance(cells, list)
    for column, cell in zip(columns, cells, strict=True):
        flag = {"bio_total": "loses_bio", "time_order": "loses_time"}.get(column.metric)
        if flag and is_true(line.get(flag)):
            cell["mark"] = "lower than of uncorrected cells by more than .05"
    cut_short = {run.title for run in contents.runs if run.was_cut_short}
    return made | {
        "title": name_of(names, entry.title),
        "note": "reads labels" if is_true(line.get("reads_labels")) else "",
        "is_recommended": is_true(line.get("is_recommended")),
        "cut_short": entry.title in cut_short,
    }


def _strips(standing: Standing) -> Strip:
    between = between_ends(standing)
    return lambda entry, column: between(entry, column) if column.metric in STRIPS else None
