"""Recovery: what a folder of `cellwright recover` holds, as the sections about imputations ask for it.

Contents -> standing (models, least deviance of hidden molecules first), recommendation, scores by type, the run shown
"""

import pandas as pd

from cellwright.metrics.harm import FLOOR
from cellwright.report.contents import Contents, StoredRun, entry_title
from cellwright.report.imputations import NUMBERS, TEXT
from cellwright.report.standing import DECISIVE, Column, Entry, Standing, best_first, standings

STUDY = "recover"  # its table in study.toml
DEVIANCE = Column("impute", DECISIVE, "lower")
PROTEIN = Column("impute", "protein_spearman", "higher")
_FLAGS = ("True", "False")


def is_of_recovery(contents: Contents) -> bool:
    """Whether the folder is that of a study of imputations, or a run of one."""
    return STUDY in contents.plan or bool((contents.leaderboard["metric"] == DECISIVE).any())


def standing_of(contents: Contents) -> Standing | None:
    """The models over all cells; None for another kind of folder."""
    found = standings(contents.leaderboard) if is_of_recovery(contents) else []
    return found[0] if found else None


def recommendation_of(contents: Contents) -> pd.DataFrame:
    """`recommendation.csv`; without rows where it does not say what is recommended, for silence is no "none"."""
    table = contents.table("recommendation.csv", TEXT, NUMBERS)
    return table[table["is_recommended"].isin(_FLAGS)].reset_index(drop=True)


def best_baseline(standing: Standing) -> Entry | None:
    """The baseline of least deviance."""
    return next((entry for entry in standing.ranked(DEVIANCE) if entry.is_baseline), None)


def shown_runs(contents: Contents) -> dict[str, StoredRun]:
    """By title, best first, the finished run with the lowest seed of each model that imputes something."""
    standing = standing_of(contents)
    runs = [] if standing is None else best_first(contents, standing.data)
    return {run.title: run for run in runs if run.record.model != FLOOR}


def by_type(contents: Contents, metric: str) -> pd.DataFrame:
    """The means of a metric, a row per type and a column per title of a model; NaN where there is none."""
    board = contents.leaderboard
    rows = board[(board["metric"] == metric) & (board["group"] != "") & board["mean"].notna()]
    titles = [entry_title(model, setting) for model, setting in zip(rows["model"], rows["setting"], strict=True)]
    return rows.assign(title=titles).pivot_table(index="group", columns="title", values="mean")
