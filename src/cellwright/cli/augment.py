"""`cellwright augment DATA --label-key T --models vae,gan --classifiers logistic --out DIR`: whether they help.

Whether a classifier does better on real cells when generated cells of rare classes are added to its training cells.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import Measure, show, show_scores
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import RunError
from cellwright.report.page import report
from cellwright.study.augment import augment_study
from cellwright.study.augment_plan import AugmentOptions, generators_of, variants_of
from cellwright.train.options import FitOptions

app = App(name="augment", help="Add generated cells of rare classes to a classifier's training cells: does it help?")
# in the order in which they give way where a terminal is narrow: the last first
MEASURES: dict[Measure, str] = {
    ("classify", "macro_f1", True): "macro F1",
    ("classify", "macro_f1_rare", True): "F1 of rare classes",
    ("classify", "balanced_accuracy", True): "balanced accuracy",
    ("classify", "accuracy", True): "accuracy",
}


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    options: AugmentOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Raise rare classes to the same number of training cells, by copies, SMOTE and generators; score on real cells."""
    cells = data_named(data)
    # draws by label stand among them, though of other values than counts they are left out
    generators = generators_of(options, are_counts=True)
    n_runs = options.seeds * (len(generators) + len(variants_of(options, generators)))
    with logging_failures(out):
        with runs_bar("augmenting", n_runs) as watch:
            found = augment_study(
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
    show(*found.verdict, "")
    show_scores(found.leaderboard, MEASURES)
    show(f"per class and more: {page}")
    if not found.leaderboard["mean"].notna().any():
        raise RunError(f"no classifier could be fitted: all runs failed; the reasons stand above and in {page}.")


app.default(
    with_flags(
        run,
        options=Flags(AugmentOptions, group="Augmentation"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
