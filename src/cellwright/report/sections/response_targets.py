"""Response by target: of a screen the treatments whose response each model predicts best and worst.

targets.csv of the runs that are shown of each model -> a mean per target over the held-out labels -> the ten with the
highest correlation of change and the ten with the lowest; a table per model
"""

import pandas as pd

from cellwright.report.contents import Contents
from cellwright.report.names import name_of, names_of
from cellwright.report.responses import shown_runs, shown_titles
from cellwright.report.section import Context, Section
from cellwright.report.text import number, short

TEXT = ["group", "target"]
NUMBERS = ["n_cells", "n_changed", "mean_mae", "changed_genes_found", "change_pearson", "rank"]
SHOWN = 10  # from either end


def context(contents: Contents) -> Context | None:
    """A table per model, networks first; None for what is no screen."""
    runs = shown_runs(contents, shown_titles(contents) or [run.title for run in contents.runs])
    names = names_of(contents)
    tables = []
    for title, of_title in runs.items():
        means = _means(pd.concat([run.table("targets.csv", TEXT, NUMBERS) for run in of_title]))
        if len(means):
            tables.append({"title": name_of(names, title), "rows": _rows(means), "n_targets": len(means)})
    return {"tables": tables, "n_shown": SHOWN} if tables else None


SECTION = Section("Response by target", context)


def _means(targets: pd.DataFrame) -> pd.DataFrame:
    """A row per target whose change has a correlation (without any change it has none), the highest first."""
    known = targets[targets["change_pearson"].notna()]
    means = known.groupby("target", sort=True)[NUMBERS].mean()
    means["n_labels"] = known.groupby("target", sort=True).size()
    return means.sort_values(["change_pearson", "mean_mae"], ascending=[False, True], kind="stable")


def _rows(means: pd.DataFrame) -> list[Context]:
    n_left_out = len(means) - 2 * SHOWN
    rows = [_row(str(target), values) for target, values in means.iterrows()]
    if n_left_out <= 0:
        return rows
    return [*rows[:SHOWN], rows[-SHOWN] | {"n_before": n_left_out}, *rows[len(rows) - SHOWN + 1 :]]


def _row(target: str, values: pd.Series) -> Context:
    return {
        "target": short(target),
        "n_before": 0,  # how many targets are not shown between it and the row above
        "cells": [(number(float(values[name])), float(values[name])) for name in ("change_pearson", "mean_mae")]
        + [(number(float(values["changed_genes_found"])), float(values["changed_genes_found"]))]
        + [(f"{values[name]:,.0f}", float(values[name])) for name in ("rank", "n_changed", "n_cells", "n_labels")],
    }
