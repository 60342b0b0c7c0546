"""`cellwright trajectory DATA --time-key T --root R --models a,b --out DIR`: order, branches and fates of cells."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import Measure, refuse_failed, show, show_scores
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.page import report
from cellwright.study.trajectory import TrajectoryStudyOptions, arms_of, trajectory_study
from cellwright.tasks.trajectory import TrajectoryOptions
from cellwright.train.options import FitOptions

app = App(name="trajectory", help="In which order cells develop, where they part and where they end.")
MEASURES: dict[Measure, str] = {
    ("trajectory", "time_order", False): "order in time",
    ("trajectory", "branch_f1", False): "branches, F1",
}
OF_ORDERS: dict[Measure, str] = {("trajectory", "time_order", False): "in that order"}


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    options: TrajectoryStudyOptions,
    way: TrajectoryOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Train every model with every seed; find pseudotime, branches and fates in its latent; score and draw them."""
    n_runs = options.seeds * len(arms_of(options))
    with logging_failures(out):
        with runs_bar("following the cells", n_runs) as watch:
            board = trajectory_study(
                data_named(data),
                options,
                out=out,
                name=study_name_of(data),
                keys=keys,
                trajectory=way,
                fit_options=training,
                preprocessing=preprocessing,
                command=command_line(),
                watch=watch,
            )
        page = report(out)
    show_scores(board, MEASURES)
    for order in options.orders:
        show(f"{order}:")
        show_scores(board[board["group"] == order].assign(group=""), OF_ORDERS)
    show(f"the trajectory, its branches, fates and changing features: {page}")
    refuse_failed(board, n_runs, page)


app.default(
    with_flags(
        run,
        options=Flags(TrajectoryStudyOptions, group="Comparison"),
        way=Flags(TrajectoryOptions, group="Trajectory"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
