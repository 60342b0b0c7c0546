"""Standing: who is best at what, and what cannot be told apart. From a leaderboard's numbers; nothing is scored here.

    leaderboard (long form) -standings-> a Standing per data set and group of tasks, on all and on held-out cells
    -> entries, best first

Tasks that ask for one ability are one group: encoders stand beside PCA, classifiers beside a logistic regression. Where
hidden molecules were asked for, all tasks are about what was imputed, its clusters too, and are one group.
Two entries are tied when their means differ by no more than the larger of their confidence intervals' half-widths.
"""

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from cellwright.metrics import METRICS
from cellwright.report.contents import Contents, StoredRun, entry_title

GROUPS = {
    "Embedding": ("cluster", "reduce", "oracle", "reconstruct"),
    "Classification": ("classify",),
    "Generation": ("generate",),
    "Domains refined by their neighbours": ("refine",),
}
# where it was scored, it orders the models, whatever else was
DECISIVE, ABOUT_IT = "poisson_deviance", "Imputation"
# of what a model makes of several batches
TOTAL = "integration_total"
# what a study makes of a metric: the end of its name, and how that is said
DERIVED = {
    "placed": "placed",
    "worst": "worst label",
    "spread": "best minus worst label",
    "rare": "rare classes",
    "drawn": "draws",
}
_MADE_OF = re.compile(rf"(?P<of>.+)_(?:top(?P<n_top>[0-9]+)|(?P<what>{'|'.join(DERIVED)}))")
# what hands out real cells: what a generator or a predicted response can reach at best, and no competitor
CEILINGS = frozenset({"real_cells", "half_split"})


def group_of(task: str) -> str:
    """The group of tasks that a task belongs to; one that nobody has put into a group is one by itself."""
    return next((group for group, tasks in GROUPS.items() if task in tasks), task.capitalize())


@dataclass(frozen=True)
class Column:
    """One measure: a metric of a task."""

    task: str
    metric: str
    better: str  # "higher" or "lower"

    @property
    def title(self) -> str:
        """The metric's title."""
        return metric_title(self.metric)

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return -1 if self.better == "lower" else 1


@dataclass(frozen=True)
class Score:
    """Mean over seeds, half-width of its confidence interval (NaN if unknown), number of seeds."""

    mean: float
    half_width: float
    n_seeds: int


@dataclass(frozen=True)
class Entry:
    """One model with one setting."""

    title: str
    is_baseline: bool
    seconds: float
    peak_bytes: float
    reason: str  # why it failed, or why some of its seeds did; empty if all went well
    scores: dict[Column, Score]
    is_ceiling: bool = False
    failed: bool = False  # no seed went well


@dataclass(frozen=True)
class Standing:
    """The overall scores on one data set, on all its cells or on held-out cells; entries best first, failed last."""

    data: str
    held_out: bool
    columns: list[Column]
    entries: list[Entry]
    group: str = "Embedding"  # of the tasks

    @cached_property
    def main(self) -> Column | None:
        """What orders the entries: `DECISIVE` or `TOTAL`, else the ARI of k-means, else an ARI, else the first."""
        return main_column(self.columns)

    def ranked(self, column: Column) -> list[Entry]:
        """The entries with a score for `column`, best first, without a ceiling; equal means by time."""
        scored = [entry for entry in self.entries if column in entry.scores and not entry.is_ceiling]
        return sorted(scored, key=lambda entry: (-column.sign * entry.scores[column].mean, _known(entry.seconds)))

    def tied(self, column: Column) -> list[Entry]:
        """The entries that cannot be told apart from the best of `column`, without the best itself."""
        ranked = self.ranked(column)
        return [entry for entry in ranked[1:] if is_tie(ranked[0].scores[column], entry.scores[column])]


def is_tie(a: Score, b: Score) -> bool:
    """Whether the means differ by no more than the larger half-width; without any half-width only if they are equal."""
    widths = [score.half_width for score in (a, b) if not math.isnan(score.half_width)]
    return abs(a.mean - b.mean) <= max(widths, default=0.0)


def standings(leaderboard: pd.DataFrame) -> list[Standing]:
    """The standings of every data set: by group of tasks, on all cells, then on held-out cells, where scored."""
    overall = leaderboard[leaderboard["group"] == ""]
    found = []
    for data, rows in overall.groupby("data", sort=False):
        scored = rows[rows["mean"].notna()]
        groups = scored["task"].map(group_of)
        if (scored["metric"] == DECISIVE).any():
            groups[:] = ABOUT_IT
        # those that stand here first, others as they come
        for group in sorted(set(groups), key=lambda g: (list(GROUPS).index(g) if g in GROUPS else len(GROUPS), g)):
            of_group = scored[groups == group]
            for held_out in sorted(set(of_group["held_out"])):
                part = of_group[of_group["held_out"] == held_out]
                found.append(_standing(str(data), rows, part, group, held_out=held_out))
        if not len(scored):
            found.append(_standing(str(data), rows, scored, "Embedding", held_out=False))
    return _with_unscored_once(found)


def _with_unscored_once(found: list[Standing]) -> list[Standing]:
    """A model that has no score at all is in the first standing of its data set; else where it has one."""
    first: dict[str, Standing] = {}
    for standing in found:
        first.setdefault(standing.data, standing)
    anywhere = {(s.data, entry.title) for s in found for entry in s.entries if entry.scores}
    return [
        replace(
            standing,
            entries=[
                entry
                for entry in standing.entries
                if entry.scores or (standing is first[standing.data] and (standing.data, entry.title) not in anywhere)
            ],
        )
        for standing in found
    ]


def best_first(contents: Contents, data: str) -> list[StoredRun]:
    """The run that is shown of each model, in the order of the leaderboard."""
    shown = contents.shown(data)
    ranked = [
        entry.title
        for standing in standings(contents.leaderboard)
        if standing.data == data
        for entry in standing.entries
    ]
    return [shown[title] for title in dict.fromkeys([*ranked, *shown]) if title in shown]


def main_column(columns: list[Column]) -> Column | None:
    """See `Standing.main`."""
    decisive = [column for column in columns if column.metric in (DECISIVE, TOTAL)]
    adjusted_rand = [column for column in columns if column.metric.startswith("ari")]
    k_means = [column for column in adjusted_rand if "kmeans" in column.task + column.metric]
    return next(iter(decisive + k_means + adjusted_rand + columns), None)


def metric_title(metric: str) -> str:
    """The metric's title in METRICS; its name where it has none. What is made of a metric is said after its title.

    `mean_r2_top100_placed` is "R2 of means (squared correlation), top 100 genes, placed".
    """
    if metric in METRICS:
        return METRICS[metric].title
    made = _MADE_OF.fullmatch(metric)
    if made is None:
        return metric.replace("_", " ")
    n_top = f"top {made['n_top']} genes" if made["n_top"] else DERIVED[made["what"]]
    return f"{metric_title(made['of'])}, {n_top}"


def in_sentence(title: str) -> str:
    """A title as it stands within a sentence: a capital is kept in "F1" and "ARI"."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def half_widths(rows: pd.DataFrame) -> pd.Series:
    """Half the width of the confidence interval of each row."""
    return (rows["ci_high"] - rows["ci_low"]) / 2


def _standing(data: str, rows: pd.DataFrame, scored: pd.DataFrame, group: str, *, held_out: bool) -> Standing:
    measures = scored[["task", "metric", "better"]].drop_duplicates(["task", "metric"])
    columns = [Column(*map(str, row)) for row in measures.itertuples(index=False)]
    of = {(column.task, column.metric): column for column in columns}
    entries = []
    for (model, setting), everything in rows.groupby(["model", "setting"], sort=False):
        mine = scored[(scored["model"] == model) & (scored["setting"] == setting)]
        entries.append(_entry(str(model), str(setting), everything, mine, of))
    main = main_column(columns)
    return Standing(data, held_out, columns, sorted(entries, key=lambda entry: _place(entry, main)), group)


def _entry(
    model: str, setting: str, rows: pd.DataFrame, scored: pd.DataFrame, columns: dict[tuple[str, str], Column]
) -> Entry:
    scores = {
        columns[task, metric]: Score(mean, half, int(n) if n == n else 1)
        for task, metric, mean, half, n in zip(
            scored["task"], scored["metric"], scored["mean"], half_widths(scored), scored["n_seeds"], strict=True
        )
    }
    reasons = [reason for reason in rows["reason"] if reason]
    failed = bool((rows["status"] == "failed").any())
    return Entry(
        title=entry_title(model, setting),
        is_baseline=bool(rows["is_baseline"].any()),
        seconds=float(rows["seconds"].max()),
        peak_bytes=float(rows["peak_bytes"].max()),
        reason=reasons[0] if reasons else ("it failed; see its log.txt" if failed else ""),
        scores=scores,
        is_ceiling=model in CEILINGS,
        failed=failed and not scores,
    )


def _place(entry: Entry, main: Column | None) -> tuple[bool, bool, float, float]:
    has_main = main is not None and main in entry.scores
    value = main.sign * entry.scores[main].mean if main is not None and has_main else 0.0
    return not entry.scores, not has_main, -value, _known(entry.seconds)


def _known(seconds: float) -> float:
    return math.inf if math.isnan(seconds) else seconds
