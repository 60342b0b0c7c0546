"""Imputations: what a study of them says, in sentences, from `recommendation.csv`; nothing is computed here.

recommendation (a row per model, least deviance first) -> which to use, whether a network beats the best baseline, harm
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import pandas as pd

from cellwright.metrics.harm import FLOOR, LIMITS
from cellwright.report.contents import entry_title
from cellwright.report.text import counted, listed, number, short

TEXT = [
    "model", "setting", "best_baseline", "is_baseline", "means_are_harmless", "draws_are_harmless", "is_recommended",
]  # fmt: skip
HARM = {
    "false_correlation": (
        f"correlations between permuted genes (limit: the mean rises by {LIMITS['false_correlation']:.2f})"
    ),
    "false_markers": (
        f"markers between random halves of one cell type (limit: {100 * LIMITS['false_markers']:.0f} % of the genes)"
    ),
}
NUMBERS = [
    "n_seeds", "deviance", "difference", "ci_low", "ci_high", *HARM, *(f"{name}_drawn" for name in HARM),
]  # fmt: skip
Row: TypeAlias = dict[Any, Any]


def sentences(recommendation: pd.DataFrame) -> list[str]:
    """The answer first; nothing for a table without rows. Flags may be text, as they are in a file."""
    if not len(recommendation):
        return []
    rows: list[Row] = recommendation.to_dict("records")
    return [*_recommended(rows), *_network(rows), *_harm(rows)]


def is_true(value: object) -> bool:
    """A flag of the table, read from a file or not."""
    return str(value) == "True"


def title_of(row: Row) -> str:
    """The model and its setting."""
    return short(entry_title(str(row["model"]), str(row["setting"] or "")), 60)


def _recommended(rows: list[Row]) -> Iterable[str]:
    chosen = next((row for row in rows if is_true(row["is_recommended"])), None)
    if chosen is None:
        if all(row["model"] == FLOOR for row in rows):
            yield "Nothing that fills in could be fitted to these cells; the reasons are below."
        else:
            yield (
                "No imputation can be recommended on these cells: of none are expectations or draws known to invent "
                "neither correlations nor markers. Test and correlate measured values."
            )
        return
    kind = "a baseline without a network" if is_true(chosen["is_baseline"]) else "a network"
    means, draws = is_true(chosen["means_are_harmless"]), is_true(chosen["draws_are_harmless"])
    if not (means or draws):
        yield (
            f"{title_of(chosen)}, {kind}, has the least deviance of hidden molecules ({number(chosen['deviance'])}); "
            "what harm it does was not asked."
        )
        return
    what = "expectations" if means else "draws"
    yield (
        f"Use {title_of(chosen)}, {kind}: of those whose expectations or draws do no harm it has the least deviance of "
        f"hidden molecules ({number(chosen['deviance'])}); its {what} do none."
    )
    if not means:
        yield (
            "Its expectations are to look at and to predict with; in tests and correlations use its draws, or measured "
            "values, for expectations seem surer than cells are."
        )


def _network(rows: list[Row]) -> Iterable[str]:
    best = next((row for row in rows if not is_true(row["is_baseline"])), None)
    if best is None or best["difference"] != best["difference"]:  # NaN: there is no baseline
        return
    low, high, difference = best["ci_low"], best["ci_high"], best["difference"]
    who, than = f"{title_of(best)}, the best network, is", f"the best baseline, {best['best_baseline']}"
    if low != low:
        yield f"{who} not shown to differ from {than}: {_signed(difference)}."
    elif low <= 0 <= high:
        around = f"{_over(best)} {_signed(low)} to {_signed(high)}"
        yield f"{who} not shown to differ from {than}: {_signed(difference)} ({around})."
    else:
        near, far = sorted((abs(low), abs(high)))
        size = f"by {number(abs(difference))} ({_over(best)} {number(near)} to {number(far)})"
        yield f"{who} {'better' if difference < 0 else 'worse'} than {than}, {size}."


def _over(row: Row) -> str:
    return f"95 % interval over {_seeds(row)}"


def _harm(rows: list[Row]) -> Iterable[str]:
    for column, what in HARM.items():
        for end, kind in (("", "Expectations"), ("_drawn", "Draws")):
            known = [row for row in rows if row[column + end] == row[column + end]]
            harmful = [title_of(row) for row in known if row[column + end] > LIMITS[column]]
            if harmful:
                yield f"{kind} of {listed(harmful)} invent {what}."
            elif known:
                yield f"{kind} invent no {what}."


def _seeds(row: Row) -> str:
    n_seeds = row["n_seeds"]
    return "seeds" if n_seeds != n_seeds else counted(int(n_seeds), "seed")


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(abs(value))}"
