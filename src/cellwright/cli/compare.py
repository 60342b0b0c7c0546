"""`cellwright compare DATA --label-key K --models a,b,c --seeds N --out DIR`: the main job, on a user's own cells."""

from pathlib import Path
from typing import Annotated

from anndata import AnnData
from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import refuse_failed, show, show_leaderboard
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.page import report
from cellwright.study.arm import Arm, with_baselines
from cellwright.study.compare import CompareOptions, compare
from cellwright.train.options import FitOptions

app = App(name="compare", help="Compare models and baselines on your cells: same splits, several seeds, with cost.")


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a comparison that was killed continues")],
    options: CompareOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Train every model with every seed, score on all and on held-out cells, and write leaderboard.csv, report.html."""
    run_comparison(
        data_named(data),
        options,
        out=out,
        name=study_name_of(data),
        keys=keys,
        fit_options=training,
        preprocessing=preprocessing,
    )


def run_comparison(
    data: AnnData | Path,
    options: CompareOptions,
    *,
    out: Path,
    name: str | None,
    keys: OpenOptions,
    fit_options: FitOptions,
    preprocessing: PreprocessOptions | None = None,
) -> None:
    """The comparison with a progress bar, its leaderboard on the terminal and its page."""
    n_runs = options.seeds * len(with_baselines([Arm.parse(text) for text in options.models]))
    with logging_failures(out):
        with runs_bar("comparing", n_runs) as watch:
            board = compare(
                data,
                options,
                out=out,
                name=name,
                keys=keys,
                fit_options=fit_options,
                preprocessing=preprocessing,
                command=command_line(),
                watch=watch,
            )
        page = report(out)
    show_leaderboard(board)
    show(f"per cell type, history and more: {page}")
    refuse_failed(board, n_runs, page)


app.default(
    with_flags(
        run,
        options=Flags(CompareOptions, group="Comparison"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
