"""`cellwright compare DATA --label-key K --models a,b,c --seeds N --out DIR`: the main job, on a user's own cells."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import data_named, logging_failures
from cellwright.cli.show import console, leaderboard
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.page import write_report
from cellwright.study.arm import Arm, with_baselines
from cellwright.study.compare import CompareOptions, Outcome, compare
from cellwright.train.options import FitOptions

app = App(name="compare", help="Compare models and baselines on your cells: same splits, several seeds, with cost.")


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a comparison that was killed continues")],
    options: CompareOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions,
) -> None:
    """Train every model with every seed, score on all and on held-out cells, and write leaderboard.csv and report.html."""
    wanted = None if preprocessing == PreprocessOptions() else preprocessing
    run_comparison(data_named(data), options, out=out, keys=keys, fit_options=training, preprocessing=wanted)


def run_comparison(data: Any, options: CompareOptions, *, out: Path, **further: Any) -> None:
    """The comparison with a progress bar, its leaderboard on the terminal and its page."""
    n_runs = options.seeds * len(with_baselines([Arm.parse(text) for text in options.models]))
    with logging_failures(out), _bar() as bar:
        task = bar.add_task("comparing", total=n_runs)

        def watch(outcome: Outcome) -> None:
            bar.advance(task)
            if outcome.reason:
                bar.console.print(f"{outcome.arm.model} (seed {outcome.seed}) failed: {outcome.reason}", style="red")
            else:
                done = "found finished" if outcome.found else f"{outcome.seconds:.1f} s"
                bar.console.print(f"{outcome.arm.model} {outcome.arm.setting} seed {outcome.seed}: {done}", style="dim")

        board = compare(data, options, out=out, watch=watch, **further)
    console.print(leaderboard(board))
    console.print("\nmean ± half-width of the 95 % interval over seeds; per cell type and more on the page")
    console.print(f"{write_report(out)}")


def _bar() -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("runs")]
    return Progress(*columns, TimeRemainingColumn(compact=True), console=Console(stderr=True), transient=True)


app.default(
    with_flags(
        run,
        options=Flags(CompareOptions, group="Comparison"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation"}, group="Training"),
        preprocessing=Flags(PreprocessOptions, hidden={"layer", "batch_key"}, group="Preprocessing (off by default)"),
    )
)
