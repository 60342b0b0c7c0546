"""Score table: a row per model, a column per measure with its interval and a strip; for the sections that have one.

Standing -rows_of-> what `scores.html` is given: titles, cells (text, spread, strip, best, tied), cost
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cellwright.report.section import Context
from cellwright.report.standing import Column, Entry, Standing
from cellwright.report.text import MISSING, counted, duration, number, short, size

Strip = Callable[[Entry, Column], Context | None]


def spread(half_width: float) -> str:
    """` ± 0.012`; empty where it is unknown."""
    return "" if math.isnan(half_width) else f" ± {number(half_width)}"


@dataclass(frozen=True)
class Heading:
    """What stands above a column: small print, the title, which direction is better, whether it orders the rows."""

    above: str
    title: str
    better: str
    is_main: bool


def headings(columns: Sequence[Column], main: Column | None) -> list[Heading]:
    """The headings of columns, with the task in small print."""
    return [Heading(column.task, column.title, column.better, column == main) for column in columns]


def row(standing: Standing, entry: Entry, columns: Sequence[Column], strip: Strip) -> Context:
    """One model: its cells in the order of `columns`, each with the strip that `strip` makes of it."""
    return {
        "title": short(entry.title),
        "note": "",
        "is_recommended": False,
        "is_baseline": entry.is_baseline and not entry.is_ceiling,
        "is_ceiling": entry.is_ceiling,
        "cut_short": False,
        "unscored": not entry.scores,
        "failed": entry.failed,
        "reason": short(entry.reason, 400),
        "cells": [_cell(standing, column, entry, strip) for column in columns],
        "time": duration(entry.seconds),
        "seconds": entry.seconds,
        "memory": size(entry.peak_bytes),
        "peak_bytes": entry.peak_bytes,
    }


def between_ends(standing: Standing) -> Strip:
    """Strips that show where a mean and its interval lie between the lowest and the highest of the column."""

    def strip(entry: Entry, column: Column) -> Context | None:
        scored = [other for other in standing.entries if column in other.scores]
        ends = [end for other in scored for end in interval(other, column)]
        return strip_of(entry, column, min(ends), max(ends))

    return strip


def strip_of(entry: Entry, column: Column, low: float, high: float) -> Context | None:
    """Where the mean and its interval lie between `low` and `high`, in per cent; cut off at the ends."""
    span = high - low
    if not math.isfinite(span) or span == 0:
        return None
    first, last = (_percent((end - low) / span) for end in interval(entry, column))
    middle = (entry.scores[column].mean - low) / span
    outside = middle < -0.005 or middle > 1.005
    return {"left": first, "width": round(last - first, 1), "mean": _percent(middle), "outside": outside}


def interval(entry: Entry, column: Column) -> tuple[float, float]:
    """The ends of the confidence interval; twice the mean where it is unknown."""
    score = entry.scores[column]
    half = 0.0 if math.isnan(score.half_width) else score.half_width
    return score.mean - half, score.mean + half


def _percent(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 1)


def _cell(standing: Standing, column: Column, entry: Entry, strip: Strip) -> Context:
    if column not in entry.scores:
        empty = dict.fromkeys(("spread", "seeds", "best", "tied", "bar", "against", "mark"))
        return {"text": MISSING, "value": math.nan, **empty}
    score = entry.scores[column]
    ranked = standing.ranked(column)
    several = len(ranked) > 1
    return {
        "text": number(score.mean),
        "value": score.mean,
        "spread": spread(score.half_width).strip(),
        "seeds": counted(score.n_seeds, "seed"),
        "best": several and entry is ranked[0],
        "tied": several and entry in standing.tied(column),
        "bar": strip(entry, column),
        "against": "",  # its difference from a reference
        "mark": "",  # why it is marked as beyond a limit
    }
