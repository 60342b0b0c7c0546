"""Names: what a page calls models that have many settings: short, and no two alike.

models and settings of the leaderboard and of finished runs -> what sets each apart from its like
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cellwright.report.contents import Contents, StoredRun, entry_title
from cellwright.report.standing import Standing
from cellwright.report.text import short


@dataclass(frozen=True)
class Name:
    """A model on the page: its name with what sets it apart from its like, and what all of its settings share."""

    text: str
    shared: str


def names_of(contents: Contents) -> dict[str, Name]:
    """A short name for every title of the leaderboard and of the finished runs.

    What all settings of a model have in common is left out of its name; two models never get the same one.
    """
    board = contents.leaderboard
    pairs = dict.fromkeys([*zip(board["model"], board["setting"], strict=True), *_arms(contents.runs)])
    names: dict[str, Name] = {}
    for model, setting in pairs:
        like = [_parts(other) for name, other in pairs if name == model]
        shared = [part for part in _parts(setting) if all(part in other for other in like)]
        apart = [_said(part) for part in _parts(setting) if part not in shared]
        names[entry_title(model, setting)] = Name(" · ".join([model, *apart]), ", ".join(shared))
    return names


def name_of(names: dict[str, Name], title: str) -> str:
    """The short name of the model with this title, bounded in length."""
    return short(names[title].text if title in names else title, 70)


def shared_by_settings(standing: Standing, names: dict[str, Name]) -> list[str]:
    """What all settings of a model have in common, which the names in the table leave out."""
    said = {
        names[entry.title].text.split(" · ")[0]: names[entry.title].shared
        for entry in standing.entries
        if entry.title in names and names[entry.title].shared
    }
    return [short(f"{model}: {shared}", 200) for model, shared in said.items()]


def _arms(runs: Iterable[StoredRun]) -> list[tuple[str, str]]:
    # a run says its setting when it is fitted
    return [(run.record.model, run.setting) for run in runs if run.record.status == "done"]


def _parts(setting: str) -> list[str]:
    return [part for part in setting.split(", ") if part]


def _said(part: str) -> str:
    return part.removeprefix("balance=")
