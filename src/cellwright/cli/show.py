"""Show: what a user sees on standard output, tables and lines.

A terminal gets what fits its width; a file or a pipe gets everything, one line per row.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.table import Table

from cellwright.errors import RunError

if TYPE_CHECKING:  # a second of CPU, and most of what is shown is no data frame
    from pathlib import Path

    import pandas as pd

Measure = tuple[str, str, bool]  # task, metric, held_out
# in the order in which they give way where a terminal is narrow: the last first
SHOWN_MEASURES: dict[Measure, str] = {
    ("cluster", "ari", False): "k-means ARI",
    ("cluster", "ari", True): "ARI held out",
    ("reconstruct", "r2", True): "R2 held out",
    ("cluster", "nmi", False): "NMI",
    ("reduce", "silhouette", False): "silhouette",
    ("cluster", "silhouette_cluster", False): "silhouette",
    ("cluster", "balanced_ari", False): "balanced ARI",
    ("oracle", "best_leiden_ari", False): "Leiden ARI (oracle)",
    ("classify", "balanced_accuracy", True): "balanced accuracy",
    ("classify", "accuracy", True): "accuracy",
    ("classify", "macro_f1", True): "macro F1",
    ("classify", "macro_precision", True): "macro precision",
    ("classify", "macro_recall", True): "macro recall",
    ("generate", "c2st", True): "C2ST",
    ("generate", "mmd", True): "MMD",
    ("generate", "variance_error", True): "variance error",
    ("generate", "correlation_error", True): "correlation error",
}
UNLIMITED = 100_000  # characters, of a line that nothing folds


class Output(Console):
    """Standard output. What is printed is a user's data and not markup, so brackets stay brackets."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else UNLIMITED
        super().__init__(width=width, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        # rich would end the program here; how it ends is for `main` to say
        raise BrokenPipeError


def show(*what: RenderableType) -> None:
    """Print to standard output as it is now."""
    Output().print(*what, sep="\n")


def table_of(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A plain table; the names in its first column are never folded, and the columns `right` are aligned there."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    return table


def show_leaderboard(board: "pd.DataFrame") -> None:
    """A table per group of tasks: models by measures, best first, in as many as the terminal is wide; then what failed.

    A group has the models that are scored in it, so each ability stands beside its own baselines.
    """
    from cellwright.report.standing import GROUPS, group_of

    overall, told = _overall(board)
    known = {**SHOWN_MEASURES, **told}
    groups = dict.fromkeys([*GROUPS, *(group_of(task) for task, _, _ in told)])
    by_group = {group: {key: title for key, title in known.items() if group_of(key[0]) == group} for group in groups}
    shown = {
        group: there
        for group, measures in by_group.items()
        if (there := {key: title for key, title in measures.items() if len(_of(overall, key))})
    }
    left_out: list[str] = []
    for group, measures in shown.items():
        tasks = {task for task, _, _ in measures}
        table, others = leaderboard(overall[overall["task"].isin(tasks)], measures, Output().width)
        show(*([f"{group}:"] if len(shown) > 1 else []), table, "")
        left_out += others
    if shown:
        _show_spread(overall, left_out)
    _show_failed(board)


def _overall(board: "pd.DataFrame") -> tuple["pd.DataFrame", dict[Measure, str]]:
    """The rows over all cells, and the measures that are named by the data: each modality from the others."""
    done = board[board["status"] == "done"]
    group = done["group"].fillna("").astype(str)
    is_told = (done["task"] == "translate") & ~group.str.contains(": ", regex=False)
    names = {("translate", name, True): f"{name} from the others" for name in group[is_told].unique()}
    return done.assign(metric=done["metric"].mask(is_told, group))[(group == "") | is_told], names


def show_scores(board: "pd.DataFrame", measures: Mapping[Measure, str], *, nothing: str = "") -> None:
    """One table of the measures that were scored, or the sentence `nothing` where none was; then what failed."""
    overall = board[(board["group"].fillna("") == "") & (board["status"] == "done") & board["mean"].notna()]
    there = {key: title for key, title in measures.items() if len(_of(overall, key))}
    if there:
        table, left_out = leaderboard(overall, there, Output().width)
        show(table, "")
        _show_spread(overall, left_out)
    elif nothing:
        show(nothing)
    _show_failed(board)


def refuse_failed(board: "pd.DataFrame", n_runs: int, page: "Path") -> None:
    """Raise `RunError` where none of the runs of a study was done: the command has failed, though its page is there."""
    if not (board["status"] == "done").any():
        raise RunError(f"no model could be fitted: all {n_runs} runs failed; the reasons stand above and in {page}.")


def _show_spread(overall: "pd.DataFrame", left_out: Sequence[str]) -> None:
    several = overall["n_seeds"].max() > 1
    show("mean ± half of the 95 % interval over seeds" if several else "one seed, so no interval")
    if left_out:
        show(f"also in leaderboard.csv: {', '.join(left_out)}")


def _show_failed(board: "pd.DataFrame") -> None:
    for _, row in board[board["status"] == "failed"].iterrows():
        show(f"{_name(row)} failed: {row['reason']}")


def leaderboard(overall: "pd.DataFrame", measures: Mapping[Measure, str], width: int) -> tuple[Table, list[str]]:
    """The table that is at most so wide, if any is, and the titles of the measures that were left out."""
    shown = dict(measures)
    table = _leaderboard(overall, shown)
    while len(shown) > 1 and Console(width=UNLIMITED).measure(table).maximum > width:
        shown.popitem()
        table = _leaderboard(overall, shown)
    return table, list(measures.values())[len(shown) :]


def _leaderboard(overall: "pd.DataFrame", measures: Mapping[Measure, str]) -> Table:
    numbers = [*measures.values(), "seconds", "memory"]
    rows = []
    for group in _best_first(overall, next(iter(measures))):
        first = group.iloc[0]
        cost = [f"{first['seconds']:.1f}", f"{first['peak_bytes'] / 2**20:,.0f} MB"]
        rows.append([_name(first), *[_cell(_of(group, key)) for key in measures], *cost])
    return table_of(["model", *numbers], rows, right=numbers)


def _name(row: "pd.Series") -> str:
    from cellwright.report.standing import CEILINGS

    setting = row["setting"] if isinstance(row["setting"], str) else ""
    role = " (ceiling)" if row["model"] in CEILINGS else " (baseline)" if row["is_baseline"] else ""
    return f"{row['model']}{' ' + setting if setting else ''}{role}"


def _of(rows: "pd.DataFrame", key: Measure) -> "pd.DataFrame":
    task, metric, held_out = key
    return rows[(rows["task"] == task) & (rows["metric"] == metric) & (rows["held_out"].astype(bool) == held_out)]


def _best_first(overall: "pd.DataFrame", measure: Measure) -> "list[pd.DataFrame]":
    groups = [rows for _, rows in overall.fillna({"setting": ""}).groupby(["model", "setting"], sort=False)]
    sign = -1 if (_of(overall, measure)["better"] == "lower").any() else 1
    # a model without the measure stands last
    return sorted(groups, key=lambda rows: max(sign * _of(rows, measure)["mean"], default=-math.inf), reverse=True)


def _cell(rows: "pd.DataFrame") -> str:
    if rows.empty:
        return "-"
    mean, half = rows.iloc[0]["mean"], (rows.iloc[0]["ci_high"] - rows.iloc[0]["ci_low"]) / 2
    return f"{mean:.3f} ± {half:.3f}" if half == half else f"{mean:.3f}"
