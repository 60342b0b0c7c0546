"""Integration types: which cell types a correction mixed away, and which one stays apart by batch.

leaderboard rows with a group -> types in a neighbourhood, before and after -> a row per model

cLISI of n types is (n - x) / (n - 1) with x the types in a neighbourhood: with many types it is high even where two of
them have become one, so x itself is shown.
"""

import pandas as pd

from cellwright.report.contents import Contents, entry_title
from cellwright.report.integrations import STUDY, UNCORRECTED, standing_of
from cellwright.report.section import Context, Section
from cellwright.report.text import number, short

KEPT, MIXED = "clisi", "ilisi"  # per label: neighbours of the same label; batches among the neighbours
LOST = 0.25  # a type whose neighbourhoods hold so many types more than before is called mixed away
AT_MOST = 4  # labels named in a row


def context(contents: Contents) -> Context | None:
    """A row per model and data set; None without labels."""
    standing = standing_of(contents)
    if standing is None:
        return None
    kept, mixed = (by_label(contents, metric) for metric in (KEPT, MIXED))
    if UNCORRECTED not in kept or not len(kept):
        return None
    types = len(kept) - kept * (len(kept) - 1)
    sizes = contents.label_sizes(standing.data)
    titles = [entry.title for entry in standing.entries if entry.title in kept and entry.title != UNCORRECTED]
    rows = [
        {
            "title": short(title),
            "lost": _lost(types[UNCORRECTED], types[title], sizes),
            "apart": _least(mixed[title], sizes) if title in mixed else "",
        }
        for title in titles
    ]
    return {"rows": rows, "limit": number(LOST, 2)}


SECTION = Section("Cell types that were lost", context)


def by_label(contents: Contents, metric: str) -> pd.DataFrame:
    """The means of a metric, a row per label and a column per title of a model."""
    board = contents.leaderboard
    rows = board[(board["task"] == STUDY) & (board["metric"] == metric) & (board["group"] != "")]
    rows = rows[rows["mean"].notna() & ~rows["held_out"]]
    titles = [entry_title(model, setting) for model, setting in zip(rows["model"], rows["setting"], strict=True)]
    return rows.assign(title=titles).pivot_table(index="group", columns="title", values="mean")


def _lost(before: pd.Series, after: pd.Series, sizes: dict[str, int]) -> str:
    """The types whose neighbourhoods hold more types than before, the worst first."""
    rise = after - before
    lost = rise[rise > LOST].sort_values(ascending=False)
    said = [
        f"{_label(name, sizes)} {number(before[name], 1)} → {number(after[name], 1)}" for name in lost.index[:AT_MOST]
    ]
    more = f", and {len(lost) - AT_MOST} more" if len(lost) > AT_MOST else ""
    return ", ".join(said) + more


def _least(mixed: pd.Series, sizes: dict[str, int]) -> str:
    known = mixed.dropna().sort_values()
    return f"{_label(str(known.index[0]), sizes)} {number(float(known.iloc[0]), 2)}" if len(known) else ""


def _label(name: str, sizes: dict[str, int]) -> str:
    return short(name, 30) + (f" ({sizes[name]:,})" if name in sizes else "")
