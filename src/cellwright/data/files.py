"""Files: which reader takes a path, and what is said when none does.

    path -kind_of-> a name in SOURCES -> Contents      HDF5 and zarr stay open: their matrix may be read in pieces later

Tables of 10x Genomics are read whole, with scanpy: the features measured as gene expression, under their symbols, of
which repeated ones get a suffix (`-1`, `-2`, ...).
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import zarr

from cellwright.data import contents
from cellwright.data.contents import Contents
from cellwright.data.safety import reading, refuse_unsafe_hdf5, refuse_unsafe_zarr
from cellwright.errors import DataFileError, did_you_mean


def read_path(path: Path, layer: str | None, modality: str | None) -> Contents:
    """The contents of a file or folder. Raises `DataFileError` with one sentence where it is not what its name says."""
    read = SOURCES[kind_of(path)]
    with reading(path.name):
        return read(path, layer, modality)


def kind_of(path: Path) -> str:
    """The name in `SOURCES` of the reader for a path: a folder is known by what is in it, a file by its suffix."""
    if not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataFileError(f"no file or folder is at {str(path)!r}; check the path.{did_you_mean(path.name, beside)}")
    if path.is_dir():
        return _kind_of_folder(path)
    suffix = path.suffix.lower()
    if suffix not in SOURCES:
        raise DataFileError(
            f"{path.name} must be one of {', '.join(SOURCES)}; its suffix is {suffix!r}. "
            "Read it yourself, e.g. with scanpy.read, and give the AnnData."
        )
    return suffix


def _read_hdf5(path: Path, layer: str | None, modality: str | None) -> Contents:
    return contents.of_group(_open_hdf5(path), layer, modality, path.name)


def _read_zarr(path: Path, layer: str | None, modality: str | None) -> Contents:
    group = zarr.open_group(path, mode="r")
    refuse_unsafe_zarr(path, group)
    return contents.of_group(group, layer, modality, path.name)


def _read_10x_h5(path: Path, layer: str | None, modality: str | None) -> Contents:
    _open_hdf5(path).close()  # looked through before scanpy opens it
    import scanpy  # takes two seconds, and only tables of 10x Genomics need it

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        adata = scanpy.read_10x_h5(path)
    adata.var_names_make_unique()
    return contents.of_anndata(adata, layer, modality, path.name)


def _read_10x_mtx(path: Path, layer: str | None, modality: str | None) -> Contents:
    import scanpy  # see above

    adata = scanpy.read_10x_mtx(path)
    return contents.of_anndata(adata, layer, modality, path.name)


SOURCES: dict[str, Callable[[Path, str | None, str | None], Contents]] = {
    ".h5ad": _read_hdf5,
    ".h5mu": _read_hdf5,
    ".zarr": _read_zarr,
    ".h5": _read_10x_h5,
    "matrix.mtx": _read_10x_mtx,
}


def _open_hdf5(path: Path) -> h5py.File:
    if not path.stat().st_size:
        raise DataFileError(f"{path.name} must be an HDF5 file; it is empty (0 bytes). Write or download it again.")
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            begin = file.read(12)
        raise DataFileError(f"{path.name} must be an HDF5 file; it begins with {begin!r}. Give it its own suffix.")
    group = h5py.File(path, "r")
    refuse_unsafe_hdf5(group)
    return group


def _kind_of_folder(path: Path) -> str:
    names = {item.name for item in path.iterdir()}
    if names & {"zarr.json", ".zgroup"}:
        return ".zarr"
    if names & {"matrix.mtx", "matrix.mtx.gz"}:
        return "matrix.mtx"
    raise DataFileError(
        f"the folder {path.name} must be a zarr group or hold matrix.mtx; it holds {len(names)} other items. "
        "Give the folder that was written, or a file."
    )
