"""Response: does a network predict a response better than the baselines, which remedy helped, and the table of models.

networks.csv, remedies.csv -findings-> sentences;  leaderboard over held-out types -> a row per model, each score with
the place between no change and real cells
"""

from cellwright.report.contents import Contents
from cellwright.report.findings import about_remedies, against_baselines, quick_note
from cellwright.report.names import Name, name_of, names_of, shared_by_settings
from cellwright.report.responses import TASK, held_out_kind, n_seeds, networks_of, remedies_of, standing_of, types_of
from cellwright.report.score_table import Heading, row, strip_of
from cellwright.report.section import Context, Section
from cellwright.report.standing import Column, Entry, Standing
from cellwright.report.text import counted, listed, number, short

# what the table shows, with its titles: what is above a column in small print, and the title
SHOWN = {
    "screen_score": ("all targets", "screen score"),
    "screen_score_worst": ("screen score", "worst label"),
    "pds": ("all targets", "PDS"),
    "mean_r2": ("all genes", "R2 of means"),
    "mean_r2_worst": ("R2 of means", "worst type"),
    "mean_r2_spread": ("R2 of means", "best − worst"),
    "change_pearson": ("all genes", "correlation of change"),
    "mean_r2_top100": ("top 100 genes", "R2 of means"),
    "changed_genes_found": ("all genes", "changed genes found"),
    "e_distance": ("all genes", "E\u2011distance"),
    "variance_error": ("all genes", "variance error"),
}


def context(contents: Contents) -> Context | None:
    """Sentences and a table; None for a folder that is not about responses."""
    standing = standing_of(contents)
    if standing is None:
        return None
    names, types = names_of(contents), types_of(contents)
    found = {column.metric: column for column in standing.columns}
    columns = [found[metric] for metric in SHOWN if metric in found]
    quick = list(quick_note(contents.plan, n_seeds(contents)))
    # of a quick look that is said above
    kind = held_out_kind(contents)
    cut_short = {run.title for run in contents.runs if run.was_cut_short and not quick}
    return {
        "headline": against_baselines(networks_of(contents), names) or _without_test(standing),
        "remedies": about_remedies(remedies_of(contents), names),
        "quick": quick,
        "headings": [_heading(column, standing.main) for column in columns],
        "rows": [_row(standing, entry, columns, names, cut_short) for entry in standing.entries],
        "has_strips": any(placed in standing.columns for placed in map(_placed_column, columns)),
        "kind": kind,
        "types": listed([short(name) for name in types], 12),
        "n_types": counted(len(types), f"held-out {kind}"),
        "several_seeds": n_seeds(contents) > 1,
        "is_shared": any(run.record.notes.get("trained_in") for run in contents.runs),
        "shared": shared_by_settings(standing, names),
    }


SECTION = Section("Response", context)


def _without_test(standing: Standing) -> list[str]:
    main = standing.main
    if main is None:
        return [
            "There are no treated cells of the held-out types, so nothing is scored: the predictions are in the runs."
        ]
    ranked = standing.ranked(main)
    if len(ranked) == 1:
        return [f"{short(ranked[0].title)} reaches an R2 of means of {number(ranked[0].scores[main].mean)}."]
    networks = any(not entry.is_baseline for entry in ranked)
    return ["Networks and baselines were not compared pair by pair." if networks else "Only baselines were scored."]


def _heading(column: Column, main: Column | None) -> Heading:
    above, title = SHOWN[column.metric]
    return Heading(above, title, column.better, column == main)


def _row(
    standing: Standing, entry: Entry, columns: list[Column], names: dict[str, Name], cut_short: set[str]
) -> Context:
    made = row(standing, entry, columns, _placed)
    notes = {"no_change": "floor", "half_split": "real cells, half by half"}
    return made | {
        "title": name_of(names, entry.title),
        "note": notes.get(entry.title, ""),
        "cut_short": entry.title in cut_short,
        "time": "" if entry.is_ceiling else made["time"],
        "memory": "" if entry.is_ceiling else made["memory"],
    }


def _placed(entry: Entry, column: Column) -> Context | None:
    """A strip from no change (left) to real cells (right), of a metric that was placed between them.

    Those are the metrics of which real cells are a sound ceiling; see `tasks.score_response.PLACED`.
    """
    placed = _placed_column(column)
    return strip_of(entry, placed, 0.0, 1.0) if placed in entry.scores else None


def _placed_column(column: Column) -> Column:
    return Column(TASK, f"{column.metric}_placed", "higher")
