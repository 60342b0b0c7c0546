"""Progress: a bar with the time left while a study runs, and a line for each run, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cellwright.study.folder import Outcome


@contextmanager
def runs_bar(title: str, n_runs: int) -> Iterator[Callable[[Outcome], None]]:
    """A bar over so many runs, moved on by the outcome of each; without a terminal the line of each run is all."""
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("runs")]
    console = Console(stderr=True, highlight=False, markup=False)
    shown = console.is_terminal
    left = TimeRemainingColumn(compact=True)
    with Progress(*columns, left, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(title, total=n_runs)

        def watch(outcome: Outcome) -> None:
            bar.advance(task)
            bar.console.print(line_of(outcome), style="red" if outcome.reason else "dim", soft_wrap=True)

        yield watch


@contextmanager
def cells_bar(title: str, n_obs: int) -> Iterator[Callable[[int, int], None]]:
    """A bar over so many cells, moved on by how many are done, on standard error where that is a terminal."""
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn()]
    left = TimeRemainingColumn(compact=True)
    with Progress(*columns, left, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=n_obs)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def line_of(outcome: Outcome) -> str:
    """A run in one line: what it was, and how long it took or why it failed."""
    held_out = f"without {outcome.held_out}" if outcome.held_out else ""
    who = " ".join(filter(None, [outcome.arm.model, outcome.arm.setting, held_out, f"seed {outcome.seed}"]))
    if outcome.reason:
        return f"{who}: failed: {outcome.reason}"
    return f"{who}: {'found finished' if outcome.found else f'{outcome.seconds:.1f} s'}"
