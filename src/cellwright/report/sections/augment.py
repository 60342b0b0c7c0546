"""Augment: whether added cells of rare classes help a classifier, in sentences, and the table of classifiers.

verdict.txt -> sentences;  leaderboard over all classes -> a row per classifier and what was added, best macro F1 first
"""

from cellwright.report.augmentation import HEADLINE, is_of_augmentation, verdict_of
from cellwright.report.contents import Contents
from cellwright.report.score_table import between_ends, headings, row
from cellwright.report.section import Context, Section
from cellwright.report.standing import standings
from cellwright.report.text import counted, duration, listed, short

SHOWN = (HEADLINE, f"{HEADLINE}_rare", "balanced_accuracy", "accuracy")


def context(contents: Contents) -> Context | None:
    """Sentences and a table; None for another kind of folder."""
    found = standings(contents.leaderboard)
    if not is_of_augmentation(contents) or not found:
        return None
    standing = found[0]
    by_metric = {column.metric: column for column in standing.columns}
    columns = [by_metric[metric] for metric in SHOWN if metric in by_metric]
    main = columns[0] if columns else None
    ranked = standing.ranked(main) if main else []
    failed = [entry for entry in standing.entries if entry.failed]
    made_by = [entry for entry in standing.entries if not entry.scores and not entry.failed]
    strips = between_ends(standing)
    said = verdict_of(contents)
    return {
        "headline": said[:1],
        "findings": said[1:],
        "headings": headings(columns, main),
        "rows": [row(standing, entry, columns, strips) for entry in [*ranked, *failed]],
        "generators": listed([f"{short(entry.title)} {duration(entry.seconds)}" for entry in made_by]),
        "fewer": _fewer_neighbours(contents),
    }


SECTION = Section("Added cells", context)


def _fewer_neighbours(contents: Contents) -> str:
    """The classes that were too small for SMOTE as it was asked for, with how many neighbours they had instead."""
    fewer: dict[str, int] = {}
    for run in contents.runs:
        noted = run.record.notes.get("fewer_neighbours")
        fewer.update(noted if isinstance(noted, dict) else {})
    return listed(
        [f"{short(name)} ({counted(int(n), 'neighbour') if n else 'copies'})" for name, n in fewer.items()], 12
    )
