"""Files from elsewhere: what is refused before anything is read, and what is said when reading fails.

anndata follows links out of an HDF5 file, so that a crafted h5ad can bring another file's bytes in; and a file of some
kilobytes can declare an array of terabytes. AnnData itself writes neither. The rules are Keras's (CVE-2026-1669).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import zarr

from cellwright.errors import CellwrightError, DataFileError

MAX_DECLARED_BYTES = 4 * 2**30
MAX_DECLARED_PER_STORED = 1000


def refuse_unsafe_hdf5(file: h5py.File) -> None:
    """Raise `DataFileError` where an item is a link, lies outside the file, or declares far more than it stores."""

    def why_not(path: str, link: object) -> str | None:
        if not isinstance(link, h5py.HardLink):
            why: str | None = f"a {type(link).__name__}, which can lead into another file"
        else:
            why = _why_not_dataset(item) if isinstance(item := file[path], h5py.Dataset) else None
        return why and _sentence(file.filename, path, why)

    # This walk sees every link, also the soft and external ones, and follows hard links only. It stops at the first
    # value that is not None; an error raised within it would not come out of HDF5's compiled loop as it is.
    if why := file.visititems_links(why_not):
        raise DataFileError(why)


def refuse_unsafe_zarr(folder: Path, group: zarr.Group) -> None:
    """Raise `DataFileError` where an array declares far more than it stores."""
    for path, item in group.members(max_depth=None):
        if isinstance(item, zarr.Array) and (why := _why_not_size(item.nbytes, item.nbytes_stored)):
            raise DataFileError(_sentence(folder, path, why))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into one `DataFileError` about `what`."""
    try:
        yield
    except CellwrightError:
        raise
    except Exception as error:
        why = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataFileError(
            f"{what} cannot be read ({why}); it is damaged or is not what its name says. Write or download it again."
        ) from error


def _why_not_dataset(dataset: h5py.Dataset) -> str | None:
    if dataset.external:
        return f"an array whose values lie in another file, {dataset.external[0][0]!r}"
    if dataset.is_virtual:
        return "a virtual array, which is put together from other files"
    return _why_not_size((dataset.size or 0) * dataset.dtype.itemsize, dataset.id.get_storage_size)


def _why_not_size(declared_bytes: int, stored_bytes: Callable[[], int]) -> str | None:
    if declared_bytes <= MAX_DECLARED_BYTES or declared_bytes <= MAX_DECLARED_PER_STORED * stored_bytes():
        return None
    return f"an array that declares {declared_bytes} bytes and stores {stored_bytes()}"


def _sentence(file: str | Path, path: str, why: str) -> str:
    return (
        f"{Path(file).name} is not safe to read: {path!r} must be a plain array or group; it is {why}. "
        "Read it with anndata only if you trust who made it, and give the AnnData."
    )
