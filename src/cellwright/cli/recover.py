"""`cellwright recover DATA --models a,b --seeds 3 --out DIR`: which imputation to use, and what harm it does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import line_of, runs_bar
from cellwright.cli.show import Measure, Output, leaderboard, show
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import RunError
from cellwright.report.imputations import sentences
from cellwright.report.page import report
from cellwright.study.folder import Outcome
from cellwright.study.recover import RecoverOptions, n_runs_of, recover
from cellwright.train.options import FitOptions

if TYPE_CHECKING:
    import pandas as pd

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
        with runs_bar("recovering", n_runs) as done:

            def watch(outcome: Outcome) -> None:
                done(line_of(outcome), failed=bool(outcome.reason))

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
    _show_table(found.leaderboard)
    show(f"per cell type, genes and more: {page}")
    if not (found.leaderboard["status"] == "done").any():
        raise RunError(f"no model could be fitted: all {n_runs} runs failed; the reasons stand above and in {page}.")


def _proteins(text: str | None, cells: object) -> object:
    """A file or a data set of the catalogue; of a MuData, the name of a modality."""
    if text is None or (isinstance(cells, Path) and cells.suffix == ".h5mu" and not Path(text).exists()):
        return text
    return data_named(text)


def _show_table(board: "pd.DataFrame") -> None:
    overall = board[(board["group"].fillna("") == "") & (board["status"] == "done") & board["mean"].notna()]
    there = {key: title for key, title in MEASURES.items() if (overall["metric"] == key[1]).any()}
    if there:
        table, left_out = leaderboard(overall, there, Output().width)
        several = overall["n_seeds"].max() > 1
        show(table, "", "mean ± half of the 95 % interval over seeds" if several else "one seed, so no interval")
        if left_out:
            show(f"also in leaderboard.csv: {', '.join(left_out)}")
    for _, row in board[board["status"] == "failed"].iterrows():
        setting = f" {row['setting']}" if row["setting"] else ""
        show(f"{row['model']}{setting} failed: {row['reason']}")


app.default(
    with_flags(
        run,
        options=Flags(RecoverOptions, group="Comparison"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
