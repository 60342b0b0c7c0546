"""Cells: the `.h5ad` files that commands read and write, obs and latents without values."""

from pathlib import Path

from anndata import AnnData, read_h5ad

from cellwright.data.write import h5ad_bytes
from cellwright.errors import RunError
from cellwright.run import Run, replacing


def cells_of(run: Run) -> AnnData:
    """`cells.h5ad` of a run. Raises `RunError` where the folder has none, or it cannot be read."""
    path, record = run.path / "cells.h5ad", run.record
    if not path.exists():
        raise RunError(
            f"{run.path} must have the cells.h5ad of a finished fit of a model that encodes or classifies; it has none "
            f"(model {record.model!r}, status {record.status!r}). Fit again."
        )
    try:
        return read_h5ad(path)
    except Exception as error:
        raise RunError(f"{path} cannot be read ({error}); it is damaged. Fit again into a new folder.") from error


def write_cells_of(run: Run, adata: AnnData) -> None:
    """Replace `cells.h5ad` of a run in one step. Raises `RunError` where it cannot be written."""
    image = h5ad_bytes(adata)
    with run.writing("cells.h5ad") as path:
        path.write_bytes(image)


def write_cells(adata: AnnData, path: Path) -> None:
    """Write or replace an `.h5ad` in one step. Raises `RunError` where it cannot be written."""
    image = h5ad_bytes(adata)
    with replacing(path) as part:
        part.write_bytes(image)
