"""`cellwright convert A B ... --out STORE`: files become one store that is fast to train from."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import logging_failures
from cellwright.cli.show import show
from cellwright.data.convert import Converted, ConvertOptions, convert

app = App(
    name="convert",
    help="Join files in one store that is fast to train from.",
    help_epilogue=(
        "The store is zarr, sharded and compact, and AnnData reads it. It has X (or the layer), obs, the names of the "
        "features, and those columns of var that are the same in all files. Other layers, obsm, varm, obsp, varp, uns "
        "and raw are left out. Ordered categories become unordered where files differ in them."
    ),
)


def run(
    *files: Annotated[Path, Parameter(help="what to join: .h5ad, .h5mu, .zarr, 10x .h5, folders with matrix.mtx")],
    out: Annotated[Path, Parameter(help="the zarr folder to write; it must not be there")],
    options: ConvertOptions,
) -> None:
    """Write all cells of FILES, features matched by name, to one folder; only values and annotation are kept."""
    with logging_failures(out.parent), _Bar() as bar:
        written = convert(files, out, options, progress=bar.show)
    show(*_told(written), f"{written.n_obs:,} cells x {written.n_vars:,} features, {written.dtype} -> {out}")


class _Bar:
    """One bar a pass, on standard error where that is a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, doing: str, done: int, total: int) -> None:
        """So many cells of a pass are done."""
        if doing not in self._tasks:
            self._tasks[doing] = self._bar.add_task(doing, total=total)
        self._bar.update(self._tasks[doing], completed=done)


def _told(written: Converted) -> list[str]:
    """What a user must know about the features, a line per file."""
    lines = [
        f"{file} lacks {len(names):,} of the features ({_some(names)}); they are zeros"
        for file, names in written.missing.items()
        if names
    ]
    if written.left_out:
        lines.append(
            f"{len(written.left_out):,} features that are not in every file are left out ({_some(written.left_out)}); "
            "--join outer keeps them"
        )
    return lines


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


app.default(with_flags(run, options=Flags(ConvertOptions, group="Store")))
