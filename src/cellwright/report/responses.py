"""Responses: what a folder of `cellwright perturb` holds, as the sections about responses to a treatment ask for it.

Contents -> standing (models over held-out types), the types, short names of models, the run that is shown of each
"""

import math
from collections.abc import Iterable

import pandas as pd

from cellwright.report.contents import Contents, StoredRun
from cellwright.report.standing import Standing, standings
from cellwright.report.text import natural

TASK = "perturb"
# what decides, and how a sentence calls its mean; a study has one of them, screens the latter
HEADLINES = {"mean_r2": "mean R2", "screen_score": "screen score"}
COMPARED = {
    "mean_r2": "R2 of means",
    "screen_score": "Screen score",
    "change_pearson": "Correlation of change",
    "e_distance": "E-distance",
    "pds": "PDS",
}
FLOOR, CEILING = "no_change", "half_split"
# of many models the best are drawn, and what they are held against
MOST_MODELS = 12
NETWORK_TEXT = ["model", "setting", "metric", "better", "baseline", "baseline_setting"]
NETWORK_NUMBERS = [
    "n_types", "n_seeds", "network", "best_baseline", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon",
    "p_t_holm",
]  # fmt: skip
REMEDY_TEXT = ["model", "setting", "remedy", "where", "metric", "better", "group", "over"]
REMEDY_NUMBERS = [
    "n_types", "n_seeds", "none", "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon",
    "p_t_holm", "p_wilcoxon_holm",
]  # fmt: skip


def is_of_responses(contents: Contents) -> bool:
    """Whether the folder is that of a perturbation study, or a run of one."""
    return TASK in contents.plan or bool((contents.leaderboard["task"] == TASK).any())


def held_out_kind(contents: Contents) -> str:
    """What sentences call what is held out: a type; of a screen a label, which may be a replicate."""
    return "label" if (contents.leaderboard["metric"] == "screen_score").any() else "type"


def standing_of(contents: Contents) -> Standing | None:
    """The models over all held-out types, best first by the headline; of a run with one type those of the type."""
    if not is_of_responses(contents):
        return None
    board = contents.leaderboard
    groups = set(board["group"]) - {""}
    if not contents.is_study and len(groups) == 1:
        board = board.assign(group="")
    found = standings(board[(board["task"] == TASK) | board["mean"].isna()])
    return found[0] if found else None


def types_of(contents: Contents) -> list[str]:
    """The held-out types that were scored, in the order of the plan."""
    plan = contents.plan.get(TASK)
    asked = [*plan.get("hold_out_each", []), *plan.get("hold_out", [])] if isinstance(plan, dict) else []
    scored = contents.leaderboard[(contents.leaderboard["task"] == TASK) & contents.leaderboard["mean"].notna()]
    found = sorted(set(scored["group"]) - {""}, key=natural)
    return [*[name for name in asked if name in found], *[name for name in found if name not in asked]]


def shown_titles(contents: Contents) -> list[str]:
    """The titles of the models that are drawn, networks first, each kind best first.

    Without remedies but for the best network; at most `MOST_MODELS`.
    """
    standing = standing_of(contents)
    if standing is None:
        return []
    main = standing.main
    ranked = standing.ranked(main) if main is not None else []
    networks = [entry for entry in ranked if not entry.is_baseline]
    plain = [entry for entry in networks if "balance=" not in entry.title or entry is networks[0]]
    baselines = [entry for entry in ranked if entry.is_baseline]
    return [entry.title for entry in [*plain[: max(1, MOST_MODELS - len(baselines))], *baselines]]


def shown_runs(contents: Contents, titles: Iterable[str]) -> dict[str, list[StoredRun]]:
    """Of each title the finished runs that are shown: of each held-out type that with the lowest seed."""
    done = sorted((run for run in contents.runs if run.record.status == "done"), key=lambda run: run.record.seed)
    shown: dict[str, dict[str, StoredRun]] = {title: {} for title in titles}
    for run in done:
        if run.title in shown:
            shown[run.title].setdefault(str(run.record.notes.get("hold_out")), run)
    return {title: list(runs.values()) for title, runs in shown.items() if runs}


def networks_of(contents: Contents) -> pd.DataFrame:
    """`networks.csv`: every network against the best baseline, tested over types."""
    return contents.table("networks.csv", NETWORK_TEXT, NETWORK_NUMBERS)


def remedies_of(contents: Contents) -> pd.DataFrame:
    """`remedies.csv`: every remedy against none, tested over types; of one type over seeds."""
    return contents.table("remedies.csv", REMEDY_TEXT, REMEDY_NUMBERS)


def n_seeds(contents: Contents) -> int:
    """The largest number of seeds of a model."""
    largest = contents.leaderboard["n_seeds"].max()
    return 0 if math.isnan(largest) else int(largest)
