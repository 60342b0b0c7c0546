"""`cellwright integrate DATA --batch-key K --models a,b --seeds 3 --out DIR`: which model joins the batches."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import Measure, refuse_failed, show, show_scores
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.integrations import sentences
from cellwright.report.page import report
from cellwright.study.integrate import PATIENT, IntegrateOptions, arms_of, integrate
from cellwright.train.options import FitOptions

app = App(name="integrate", help="Which model takes the batches off your cells and leaves the cell types.")
# in the order in which they give way where a terminal is narrow: the last first
MEASURES: dict[Measure, str] = {
    ("integrate", "integration_total", False): "total",
    ("integrate", "bio_total", False): "bio",
    ("integrate", "batch_total", False): "batch",
    ("integrate", "time_order", False): "order in time",
    ("integrate", "ari", False): "k-means ARI",
    ("integrate", "ilisi", False): "iLISI",
    ("integrate", "clisi", False): "cLISI",
}


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    options: IntegrateOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Train every model with every seed on all batches; score how they mix and what is left of labels and time."""
    n_runs = options.seeds * len(arms_of(options))
    with logging_failures(out):
        with runs_bar("integrating", n_runs) as watch:
            found = integrate(
                data_named(data),
                options,
                out=out,
                name=study_name_of(data),
                keys=keys,
                fit_options=training,
                preprocessing=preprocessing,
                command=command_line(),
                watch=watch,
            )
        page = report(out)
    show(*sentences(found.recommendation, found.confounding), "")
    show_scores(found.leaderboard, MEASURES)
    show(f"maps, per cell type and more: {page}")
    refuse_failed(found.leaderboard, n_runs, page)


app.default(
    with_flags(
        run,
        options=Flags(IntegrateOptions, group="Comparison"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(
            FitOptions,
            hidden={"seed", "validation", "balance"},
            defaults={"min_improvement": PATIENT.min_improvement, "patience": PATIENT.patience},
            group="Training",
        ),
        preprocessing=preprocessing_flags(),
    )
)
