"""`cellwright recover DATA --models a,b --seeds 3 --out DIR`: which imputation to use, and what harm it does."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import Measure, refuse_failed, show, show_scores
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.imputations import sentences
from cellwright.report.page import report
from cellwright.study.recover import recover
from cellwright.study.recover_plan import RecoverOptions, n_runs_of
from cellwright.train.options import FitOptions

app = App(name="recover", help="Which imputation gives hidden molecules back, and what harm it does.")
# in the order in which they give way where a terminal is narrow: the last first
MEASURES: dict[Measure, str] = {
    ("impute", "poisson_deviance", True): "deviance",
    ("impute", "false_correlation", True): "false correlation",
    ("impute", "false_markers", True): "false markers",
    ("cluster", "ari", True): "ARI",
    ("impute", "protein_spearman", True): "protein",
    ("impute", "entry_pearson_gene", True): "hidden entries, r",
    ("impute", "zeros_kept", True): "zeros kept",
}


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    proteins: Annotated[
        str | None, Parameter(help="proteins of the same cells: a file, a name from `list data`, or a modality")
    ] = None,
    links: Annotated[Path | None, Parameter(help="a CSV file with the columns protein and gene")] = None,
    options: RecoverOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Hide molecules, impute, score; permute genes and halve cell types to see what is invented."""
    cells = data_named(data)
    n_runs = n_runs_of(options)
    with logging_failures(out):
        with runs_bar("recovering", n_runs) as watch:
            found = recover(
                cells,
                options,
                out=out,
                name=study_name_of(data),
                keys=keys,
                fit_options=training,
                preprocessing=preprocessing,
                proteins=_proteins(proteins, cells),
                links=links,
                command=command_line(),
                watch=watch,
            )
        page = report(out)
    show(*sentences(found.recommendation), "")
    show_scores(found.leaderboard, MEASURES)
    show(f"per cell type, genes and more: {page}")
    refuse_failed(found.leaderboard, n_runs, page)


def _proteins(text: str | None, cells: object) -> object:
    """A file or a data set of the catalogue; of a MuData, the name of a modality."""
    if text is None or (isinstance(cells, Path) and cells.suffix == ".h5mu" and not Path(text).exists()):
        return text
    return data_named(text)


app.default(
    with_flags(
        run,
        options=Flags(RecoverOptions, group="Comparison"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
