"""Progress: one bar for a fit, with rate and time left; silent where nobody watches (no terminal, `progress=False`)."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

_UPDATE_SECONDS = 0.1  # the bar is drawn ten times a second; to tell it more often costs and shows nothing


class Rate(ProgressColumn):
    """Cells per second."""

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.fields['cells_per_second']:>9,.0f} cells/s", style="dim")


class FitProgress:
    """A bar over epochs. `step` is called after each minibatch, `epoch` after each epoch."""

    def __init__(self, title: str, n_epochs: int, n_cells: int, *, shown: bool) -> None:
        self._n_cells = n_cells
        self._title, self._updated = title, 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[loss]}"),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
            transient=True,
        )
        self._task = self._bar.add_task(title, total=n_epochs, loss="", cells_per_second=0.0)

    def __enter__(self) -> "FitProgress":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def step(self, epoch: int, n_cells_seen: int) -> None:
        """The epoch has come so far."""
        now = time.monotonic()
        if self._bar.disable or now - self._updated < _UPDATE_SECONDS:
            return
        self._updated = now
        speed = self._bar.tasks[0].speed or 0.0
        done = epoch + n_cells_seen / max(1, self._n_cells)
        rate = speed * self._n_cells
        self._bar.update(self._task, description=self._title, completed=round(done, 2), cells_per_second=rate)

    def compiling(self) -> None:
        """Kernels are being compiled: no step will end for some seconds, the first time on a machine."""
        self._bar.update(self._task, description=f"{self._title}: compiling kernels, once on this machine")
        self._bar.refresh()

    def epoch(self, epoch: int, loss: float) -> None:
        """The epoch is done."""
        self._bar.update(self._task, completed=epoch + 1, loss=f"loss {loss:,.1f}")
