"""Integrations: what a folder of `cellwright integrate` holds, and what it says in sentences; nothing is computed here.

recommendation.csv (a row per model, best total first), confounding.csv -> which to use, what is lost, the warning
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import pandas as pd

from cellwright.report.contents import Contents, entry_title
from cellwright.report.standing import Standing, standings
from cellwright.report.text import counted, listed, number, short

STUDY = "integrate"  # its table in study.toml, and its task in the leaderboard
UNCORRECTED = "pca"
TEXT = ["model", "setting", "is_baseline", "reads_labels", "best_baseline", "loses_bio", "loses_time", "is_recommended"]
NUMBERS = [
    "n_seeds", "total", "bio", "batch", "time_order", "difference", "ci_low", "ci_high", "bio_change", "batch_change",
    "time_change",
]  # fmt: skip
CONFOUNDING_TEXT = ["of", "key", "measure", "is_confounded"]
CONFOUNDING_NUMBERS = ["value", "limit"]
Row: TypeAlias = dict[Any, Any]


def is_of_integration(contents: Contents) -> bool:
    """Whether the folder is that of a study of integrations, or a run of one."""
    return STUDY in contents.plan or bool((contents.leaderboard["task"] == STUDY).any())


def standing_of(contents: Contents) -> Standing | None:
    """The models over all cells; None for another kind of folder."""
    found = standings(contents.leaderboard) if is_of_integration(contents) else []
    return next((standing for standing in found if not standing.held_out), None)


def recommendation_of(contents: Contents) -> pd.DataFrame:
    """`recommendation.csv`; without rows where it is not there."""
    return contents.table("recommendation.csv", TEXT, NUMBERS)


def confounding_of(contents: Contents) -> pd.DataFrame:
    """`confounding.csv`; without rows where it is not there."""
    return contents.table("confounding.csv", CONFOUNDING_TEXT, CONFOUNDING_NUMBERS)


def sentences(recommendation: pd.DataFrame, confounding: pd.DataFrame) -> list[str]:
    """The answer first, then what it is worth, what others lose, and last what batches are confounded with."""
    rows: list[Row] = recommendation.to_dict("records")
    said = [*_recommended(rows), *_network(rows), *_losses(rows)] if rows else []
    return [*said, *warning(confounding)]


def warning(confounding: pd.DataFrame) -> list[str]:
    """One sentence if the batch tells the label or the time; none otherwise."""
    found = [row for row in confounding.to_dict("records") if is_true(row["is_confounded"])]
    if not found:
        return []
    what = listed([_confounded(row) for row in found])
    why = "no method can know which part of a difference is the batch, so a correction may take biology with it"
    return [f"Warning: batches are confounded with biology here ({what}): {why}."]


def is_true(value: object) -> bool:
    """A flag of a table, read from a file or not."""
    return str(value) == "True"


def title_of(row: Row) -> str:
    """The model and its setting."""
    return short(entry_title(str(row["model"]), str(row["setting"] or "")), 60)


def _confounded(row: Row) -> str:
    value, limit, key = number(row["value"], 2), number(row["limit"], 2), short(str(row["key"]), 40)
    if row["of"] == "time":
        return f"{100 * row['value']:.0f} % of the variance of {key} lies between batches, above {limit} is much"
    return f"Cramér's V of batch and {key} is {value}, above {limit} is much"


def _recommended(rows: list[Row]) -> Iterable[str]:
    chosen = next((row for row in rows if is_true(row["is_recommended"])), None)
    if not any(_known(row["bio_change"]) or _known(row["time_change"]) for row in rows):
        yield (
            "No model can be recommended on these cells: without labels or times nothing says what a model loses. Give "
            "a label_key, or a time_key."
        )
        return
    if chosen is None:
        yield (
            "No model can be recommended on these cells: each loses cell types or the order in time against cells "
            "without correction."
        )
        return
    if chosen["model"] == UNCORRECTED or chosen["batch_change"] <= 0:
        yield (
            f"Leave these cells uncorrected ({title_of(chosen)}): no correction has a better total without losing "
            "cell types or the order in time."
        )
        return
    kind = "a baseline without a network" if is_true(chosen["is_baseline"]) else "a network"
    seen = ", which has seen the labels it is scored by" if is_true(chosen["reads_labels"]) else ""
    change = [f"batches mix better by {_signed(chosen['batch_change'])}"]
    if _known(chosen["bio_change"]):
        change.append(f"cell types are kept ({_signed(chosen['bio_change'])})")
    if _known(chosen["time_change"]):
        change.append(f"so is the order in time ({_signed(chosen['time_change'])})")
    yield (
        f"Use {title_of(chosen)}, {kind}{seen}: best total of those that lose nothing ({number(chosen['total'])}); "
        f"against uncorrected cells {listed(change)}."
    )


def _network(rows: list[Row]) -> Iterable[str]:
    best = next((row for row in rows if not is_true(row["is_baseline"]) and not is_true(row["reads_labels"])), None)
    if best is None or not _known(best["difference"]):
        return
    low, high, than = best["ci_low"], best["ci_high"], f"the best baseline, {best['best_baseline']}"
    who = f"{title_of(best)}, the best network without labels, is"
    if not _known(low) or low <= 0 <= high:
        around = f" (95 % interval over {_seeds(best)} {_signed(low)} to {_signed(high)})" if _known(low) else ""
        yield f"{who} not shown to differ in total from {than}: {_signed(best['difference'])}{around}."
        return
    near, far = sorted((abs(low), abs(high)))
    size = f"by {number(abs(best['difference']))} (95 % interval over {_seeds(best)} {number(near)} to {number(far)})"
    yield f"{who} {'better' if best['difference'] > 0 else 'worse'} in total than {than}, {size}."


def _losses(rows: list[Row]) -> Iterable[str]:
    for flag, change, what in (
        ("loses_bio", "bio_change", "cell types (change of the bio total"),
        ("loses_time", "time_change", "the order in time (change of the correlation"),
    ):
        losers = [row for row in rows if is_true(row[flag])]
        if losers:
            named = listed([f"{title_of(row)} {_signed(row[change])}" for row in losers])
            yield f"Against uncorrected cells these lose {what}): {named}."


def _seeds(row: Row) -> str:
    return "seeds" if not _known(row["n_seeds"]) else counted(int(row["n_seeds"]), "seed")


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(abs(value))}"


def _known(value: float) -> bool:
    return value == value
