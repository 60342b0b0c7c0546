"""Imputation: which one to use, and one table in which what each gains stands beside what harm it does.

recommendation.csv -sentences-> the answer;  leaderboard -> a row per model, least deviance first, harm marked
"""

import math
from collections.abc import Sequence
from itertools import groupby

from cellwright.metrics.harm import FLOOR, LIMITS
from cellwright.report.contents import Contents
from cellwright.report.findings import signed
from cellwright.report.imputations import HARM, is_true, sentences, title_of
from cellwright.report.names import Name, name_of, names_of, shared_by_settings
from cellwright.report.recovery import DEVIANCE, PROTEIN, recommendation_of, standing_of
from cellwright.report.score_table import Heading, Strip, between_ends, row
from cellwright.report.section import Context, Section
from cellwright.report.standing import Column, Entry, Standing
from cellwright.report.text import short

# what the table shows: the band it belongs to, what is above its title in small print, and the title (with a hyphen
# where it may break, for with everything asked the columns are many)
SHOWN = {
    "poisson_deviance": ("gain", "hidden molecules", "deviance"),
    "log_mse": ("gain", "hidden molecules", "log MSE"),
    "entry_rmse": ("gain", "hidden entries", "error"),
    "entry_pearson_cell": ("gain", "hidden entries", "r within cells"),
    "entry_pearson_gene": ("gain", "hidden entries", "r within genes"),
    "protein_spearman": ("gain", "RNA and protein", "rank corre\u00adlation"),
    "false_correlation": ("harm", "expected", "false corre\u00adlation"),
    "false_correlation_drawn": ("harm", "drawn", "false corre\u00adlation"),
    "false_markers": ("harm", "expected", "false markers"),
    "false_markers_drawn": ("harm", "drawn", "false markers"),
    "zeros_kept": ("harm", "expected", "silent markers kept"),
    "ari": ("cell types", "clusters", "ARI"),
    "balanced_ari": ("cell types", "clusters", "balanced ARI"),
}
LIMITED = {f"{name}{end}": (LIMITS[name], what) for name, what in HARM.items() for end in ("", "_drawn")}
STRIPS = (DEVIANCE, PROTEIN)


def context(contents: Contents) -> Context | None:
    """Sentences and a table; None for a folder that is not about imputations."""
    standing = standing_of(contents)
    if standing is None:
        return None
    recommendation = recommendation_of(contents)
    found = {column.metric: column for column in standing.columns}
    columns = [found[metric] for metric in SHOWN if metric in found]
    names = names_of(contents)
    chosen = {title_of(line) for line in recommendation.to_dict("records") if is_true(line["is_recommended"])}
    cut_short = {run.title for run in contents.runs if run.was_cut_short}
    scores = [score for entry in standing.entries for score in entry.scores.values()]
    return {
        "answer": sentences(recommendation),
        "headings": [_heading(column, standing.main) for column in columns],
        "bands": _bands(columns),
        "rows": [
            _row(standing, entry, columns, names)
            | {"is_recommended": short(entry.title) in chosen, "cut_short": entry.title in cut_short}
            for entry in standing.entries
        ],
        "metrics": {column.metric for column in columns},
        "several_seeds": any(score.n_seeds > 1 for score in scores),
        "shared": shared_by_settings(standing, names),
    }


SECTION = Section("Imputation", context)


def _heading(column: Column, main: Column | None) -> Heading:
    _, above, title = SHOWN[column.metric]
    return Heading(above, title, column.better, column == main)


def _bands(columns: Sequence[Column]) -> list[Context]:
    bands = groupby(SHOWN[column.metric][0] for column in columns)
    return [{"title": title, "n": len(list(of))} for title, of in bands]


def _row(standing: Standing, entry: Entry, columns: Sequence[Column], names: dict[str, Name]) -> Context:
    made = row(standing, entry, columns, _strips(standing))
    cells = made["cells"]
    assert isinstance(cells, list)
    for column, cell in zip(columns, cells, strict=True):
        if column.metric in LIMITED or column.metric == "zeros_kept":
            # what imputes nothing does none: the least harm is no merit
            cell |= {"best": False, "tied": False}
        if column in entry.scores:
            cell |= {"mark": _mark(entry, column), "against": _against(standing, entry, column)}
    return made | {"title": name_of(names, entry.title), "note": "floor" if entry.title == FLOOR else ""}


def _strips(standing: Standing) -> Strip:
    between = between_ends(standing)
    return lambda entry, column: between(entry, column) if column in STRIPS else None


def _mark(entry: Entry, column: Column) -> str:
    """What is said of a score beyond the limit of harm; empty for one within it."""
    limit, what = LIMITED.get(column.metric, (math.inf, ""))
    return f"invents {what}" if entry.scores[column].mean > limit else ""


def _against(standing: Standing, entry: Entry, column: Column) -> str:
    """Of proteins, the difference from the RNA as it was measured."""
    floor = next((other for other in standing.entries if other.title == FLOOR), None)
    if column != PROTEIN or floor is None or entry is floor or column not in floor.scores:
        return ""
    return signed(entry.scores[column].mean - floor.scores[column].mean)
