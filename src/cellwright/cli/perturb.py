"""`cellwright perturb DATA --condition-key K --control A --label-key T --hold-out X --out DIR`: responses, studies.

With `--hold-out` one prediction, with `--hold-out-each` one label after another, remedies and seeds; with
`--treated all` as well a screen: every treatment, scored together.
"""

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
from cellwright.study.perturb import perturb_study
from cellwright.study.perturb_plan import PerturbOptions, groups_of, training_of, variants_of
from cellwright.train.options import FitOptions

app = App(name="perturb", help="Predict how cell types respond to a treatment that was never measured on them.")
# in the order in which they give way where a terminal is narrow: the last first
MEASURES: dict[Measure, str] = {
    ("perturb", "mean_r2", True): "R2 of means",
    ("perturb", "mean_r2_worst", True): "worst type",
    ("perturb", "change_pearson", True): "Pearson of change",
    ("perturb", "e_distance", True): "E-distance",
    ("perturb", "mean_r2_top100", True): "R2, top 100",
    ("perturb", "changed_genes_found", True): "changed genes found",
    ("perturb", "variance_error", True): "variance error",
}
# the same of a screen
SCREEN_MEASURES: dict[Measure, str] = {
    ("perturb", "screen_score", True): "screen score",
    ("perturb", "pds", True): "discrimination",
    ("perturb", "changed_genes_found", True): "changed genes found",
    ("perturb", "mean_mae", True): "error of means",
    ("perturb", "change_pearson", True): "Pearson of change",
    ("perturb", "screen_score_worst", True): "worst label",
}
UNSCORED = "no treated cells of the held-out labels, so there is nothing to score: the predictions are in runs/"


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    options: PerturbOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Predict the treated cells of the held-out labels, score them where there are such; cells.h5ad and tables."""
    cells = data_named(data)
    n_runs = len(groups_of(options)) * len(variants_of(options, training))
    with logging_failures(out):
        with runs_bar("predicting", n_runs) as watch:
            found = perturb_study(
                cells,
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
    if found.verdict:
        show(*found.verdict, "")
    show_scores(found.leaderboard, SCREEN_MEASURES if options.is_screen else MEASURES, nothing=UNSCORED)
    if options.quick:
        show(f"a quick look: {training_of(options, training).max_epochs} epochs at most, {options.n_seeds} seed(s)")
    if options.hold_out and (out / "cells.h5ad").exists():
        show(f"predicted cells: {out / 'cells.h5ad'}")
    show(f"{'per label, targets' if options.is_screen else 'per cell type, genes'} and more: {page}")
    refuse_failed(found.leaderboard, n_runs, page)


app.default(
    with_flags(
        run,
        options=Flags(PerturbOptions, group="Prediction"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
