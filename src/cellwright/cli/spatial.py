"""`cellwright spatial DATA --coordinates-key spatial --models a,b --seeds 3 --out DIR`: the domains of a tissue."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.flags import Flags, preprocessing_flags, with_flags
from cellwright.cli.inputs import command_line, data_named, logging_failures, study_name_of
from cellwright.cli.progress import runs_bar
from cellwright.cli.show import Measure, refuse_failed, show, show_scores
from cellwright.data.place_graph import PlaceGraphOptions
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.report.page import report
from cellwright.study.spatial import SpatialStudyOptions, arms_of, spatial_study
from cellwright.tasks.spatial import SpatialOptions
from cellwright.train.options import FitOptions

app = App(name="spatial", help="Which model finds the domains of a tissue, and which cell types lie side by side.")
# in the order in which they give way where a terminal is narrow: the last first
MEASURES: dict[Measure, str] = {
    ("cluster", "ari", False): "domains, ARI",
    ("refine", "ari", False): "refined, ARI",
    ("cluster", "nmi", False): "NMI",
    ("cluster", "spatial_coherence", False): "coherence",
    ("refine", "spatial_coherence", False): "refined, coherence",
    ("refine", "nmi", False): "refined, NMI",
    ("reduce", "silhouette", False): "silhouette",
}


def run(
    data: Annotated[str, Parameter(help="a file, or a name from `cellwright list data`")],
    *,
    out: Annotated[Path, Parameter(help="the study folder; a study that was killed continues")],
    options: SpatialStudyOptions,
    domains: SpatialOptions,
    graph: PlaceGraphOptions,
    keys: OpenOptions,
    training: FitOptions,
    preprocessing: PreprocessOptions | None,
) -> None:
    """Train every model with every seed; score domains against labels and for coherence; draw them in the tissue."""
    n_runs = options.seeds * len(arms_of(options))
    with logging_failures(out):
        with runs_bar("looking at the tissue", n_runs) as watch:
            board = spatial_study(
                data_named(data),
                options,
                out=out,
                name=study_name_of(data),
                keys=keys,
                spatial=domains,
                graph=graph,
                fit_options=training,
                preprocessing=preprocessing,
                command=command_line(),
                watch=watch,
            )
        page = report(out)
    show_scores(board, MEASURES)
    show(f"domains in the tissue, enrichment and more: {page}")
    refuse_failed(board, n_runs, page)


app.default(
    with_flags(
        run,
        options=Flags(SpatialStudyOptions, group="Comparison"),
        domains=Flags(SpatialOptions, group="Domains"),
        graph=Flags(PlaceGraphOptions, group="Neighbours of the refinement, the coherence and the enrichment"),
        keys=Flags(OpenOptions, group="Data"),
        training=Flags(FitOptions, hidden={"seed", "validation", "balance"}, group="Training"),
        preprocessing=preprocessing_flags(),
    )
)
