"""Leaderboard: a row per model, a column per metric, and in a few sentences what follows from them.

Contents.leaderboard -standings-> a table per data set and group of tasks, on all and on held-out cells -> sentences on
top
"""

import math

from cellwright.report.augmentation import is_of_augmentation
from cellwright.report.contents import Contents
from cellwright.report.integrations import is_of_integration
from cellwright.report.recovery import is_of_recovery
from cellwright.report.responses import is_of_responses
from cellwright.report.score_table import between_ends, headings, row, spread
from cellwright.report.section import Context, Section
from cellwright.report.standing import Column, Entry, Standing, in_sentence, standings
from cellwright.report.text import duration, listed, number, short


def context(contents: Contents) -> Context | None:
    """A block per data set, in it one per group of tasks.

    Each has a view for all cells and one for held-out cells, where both were scored. Responses to a treatment,
    imputations and what added cells do for classifiers have sections of their own.
    """
    elsewhere = (is_of_responses, is_of_augmentation, is_of_recovery, is_of_integration)
    if any(is_of(contents) for is_of in elsewhere):
        return None
    blocks: dict[str, dict[str, list[Context]]] = {}
    if not contents.is_study and contents.leaderboard["mean"].isna().all():
        return None  # a run that nobody has scored yet
    for standing in standings(contents.leaderboard):
        blocks.setdefault(standing.data, {}).setdefault(standing.group, []).append(_view(standing, contents))
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Leaderboard", context)


def verdict(standing: Standing) -> list[str]:
    """What the numbers say, in sentences: who is best, whether a baseline is enough, at what cost."""
    main = standing.main
    if main is None:
        return ["No model has a score yet."]
    ranked = standing.ranked(main)
    if not ranked:
        return ["No model is scored here but those that hand out real cells."]
    if len(ranked) == 1:
        return [f"{_title(ranked[0])} reaches {_score(ranked[0], main)} in {_measure(standing, main)}."]
    equals = [ranked[0], *standing.tied(main)]
    said = [_best(standing, main, equals), _baseline(main, ranked, equals)]
    if all(entry.scores[main].n_seeds < 2 for entry in ranked):
        said.append(
            "Each model was run with one seed only, so the spread is unknown and small differences mean nothing."
        )
    return [sentence for sentence in said if sentence]


def _best(standing: Standing, main: Column, equals: list[Entry]) -> str:
    best, *tied = equals
    sentence = f"{_title(best)} has the best {_measure(standing, main)}: {_score(best, main)}"
    if tied:
        sentence += (
            f"; within the spread of the seeds {listed([_title(entry) for entry in tied])} cannot be told apart from it"
        )
    return sentence + "."


def _baseline(main: Column, ranked: list[Entry], equals: list[Entry]) -> str:
    baselines = [entry for entry in ranked if entry.is_baseline]
    networks = [entry for entry in ranked if not entry.is_baseline]
    if not networks:
        return "Only baselines were scored."
    if not baselines:
        return "No baseline was scored, so it is open whether a network is needed here."
    enough = [entry for entry in baselines if entry in equals]
    if enough:
        simple = enough[0]
        if ranked[0].is_baseline:
            return (
                f"{_title(simple)} is enough here: no network is better than this baseline{_cost(simple, networks[0])}."
            )
        # the mean of a network is higher, but by less than the seeds scatter: that is no evidence for either
        return (
            f"With these seeds it is not shown that a network is better than the baseline {_title(simple)}"
            f"{_cost(simple, networks[0])}; more seeds may tell."
        )
    better = abs(ranked[0].scores[main].mean - baselines[0].scores[main].mean)
    return (
        f"A network pays off here: the best baseline, {_title(baselines[0])}, reaches {_score(baselines[0], main)}, "
        f"which is worse by {number(better)}{_cost(ranked[0], baselines[0])}."
    )


def _cost(entry: Entry, other: Entry) -> str:
    if math.isnan(entry.seconds) or math.isnan(other.seconds):
        return ""
    return f" ({duration(entry.seconds)} for {_title(entry)}, {duration(other.seconds)} for {_title(other)})"


def _measure(standing: Standing, column: Column) -> str:
    same_metric = [other for other in standing.columns if other.metric == column.metric]
    title = in_sentence(column.title) + (f" of {column.task}" if len(same_metric) > 1 else "")
    return title + (" on held-out cells" if standing.held_out else "")


def _score(entry: Entry, column: Column) -> str:
    score = entry.scores[column]
    return f"{number(score.mean)}{spread(score.half_width)}"


def _title(entry: Entry) -> str:
    return short(entry.title)


def _view(standing: Standing, contents: Contents) -> Context:
    cut_short = {run.title for run in contents.runs if run.data == standing.data and run.was_cut_short}
    strips = between_ends(standing)
    rows = [
        row(standing, entry, standing.columns, strips) | {"cut_short": entry.title in cut_short}
        for entry in standing.entries
    ]
    return {
        "title": "Held-out cells" if standing.held_out else "All cells",
        "verdict": verdict(standing),
        "columns": standing.columns,
        "headings": headings(standing.columns, standing.main),
        "rows": rows,
    }
