"""`cellwright demo`: the main job on the real PBMC that scanpy carries, without network."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.compare import run_comparison
from cellwright.data.catalogue import load
from cellwright.data.prepare import OpenOptions
from cellwright.study.compare import CompareOptions

app = App(name="demo", help="Compare several models on 700 real blood cells.")


@app.default
def run(
    *,
    out: Annotated[Path, Parameter(help="the study folder")] = Path("demo"),
    seeds: Annotated[int, Parameter(help="runs per model")] = 3,
) -> None:
    """PCA, autoencoder, denoising autoencoder and VAE on 700 PBMC x 765 genes; writes a study folder with its page."""
    console_options = CompareOptions(seeds=seeds)
    keys = OpenOptions(label_key="bulk_labels")
    run_comparison(load("pbmc68k_reduced"), console_options, out=out, keys=keys, name="pbmc68k_reduced")
