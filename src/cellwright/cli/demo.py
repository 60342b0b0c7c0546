"""`cellwright demo`: the main job on the real PBMC that scanpy carries, without network."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.compare import run_comparison
from cellwright.data.catalogue import CATALOGUE, load
from cellwright.data.prepare import OpenOptions
from cellwright.study.compare import CompareOptions
from cellwright.train.options import FitOptions

app = App(name="demo", help="Compare several models on 700 real blood cells.")
DATA = "pbmc68k_reduced"


@app.default
def run(
    *,
    out: Annotated[Path, Parameter(help="the study folder")] = Path("demo"),
    seeds: Annotated[int, Parameter(help="runs per model")] = 3,
    max_epochs: Annotated[int, Parameter(help="passes over the training cells at most")] = 80,
) -> None:
    """Three networks and their baselines on 700 PBMC x 765 genes; writes a study folder with its page."""
    options, keys = CompareOptions(seeds=seeds), OpenOptions(**CATALOGUE[DATA].keys)
    run_comparison(load(DATA), options, out=out, name=DATA, keys=keys, fit_options=FitOptions(max_epochs=max_epochs))
