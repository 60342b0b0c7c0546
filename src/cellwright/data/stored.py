"""Arrays and groups on disk, in HDF5 and zarr alike: what they are before anything is read.

    item on disk -> form (csr, csc or dense), shape, bytes it would take in memory

Both libraries are used through what they have in common, so a store is written once.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol, TypeGuard, cast

import h5py
import numpy as np
import zarr

from cellwright.errors import DataFileError


class StoredArray(Protocol):
    """What `h5py.Dataset` and `zarr.Array` have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def chunks(self) -> tuple[int, ...] | None: ...
    def __getitem__(self, rows: slice) -> np.ndarray: ...


class StoredGroup(Protocol):
    """What `h5py.Group` and `zarr.Group` have in common."""

    @property
    def attrs(self) -> Mapping[str, Any]: ...
    def __getitem__(self, name: str) -> Any: ...
    def __contains__(self, name: str) -> bool: ...
    def get(self, name: str) -> Any: ...
    def __iter__(self) -> Iterator[str]: ...


Stored = StoredGroup | StoredArray


def is_group(item: object) -> TypeGuard[StoredGroup]:
    """Whether the item is a group on disk."""
    return isinstance(item, h5py.Group | zarr.Group)


def is_array(item: object) -> TypeGuard[StoredArray]:
    """Whether the item is an array on disk."""
    return isinstance(item, h5py.Dataset | zarr.Array)


def stored_form(group: StoredGroup, where: str) -> Literal["csr", "csc"]:
    """How the group of a sparse matrix is laid out. Raises `DataFileError` for a group of anything else."""
    # the second name is what anndata before 0.7 wrote
    form = group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", "a plain group"))
    if form in ("csr_matrix", "csr"):
        return "csr"
    if form in ("csc_matrix", "csc"):
        return "csc"
    raise DataFileError(f"{where} must be a CSR, CSC or dense matrix; it is stored as {form}. Name another layer.")


def sparse_shape(group: StoredGroup) -> tuple[int, int]:
    """(n_obs, n_vars) of the group of a sparse matrix."""
    n_obs, n_vars = group.attrs["shape"] if "shape" in group.attrs else group.attrs["h5sparse_shape"]
    return int(n_obs), int(n_vars)


def memory_bytes(item: Stored) -> int:
    """What the matrix takes in memory: 4 bytes a value, and 4 for the column of a sparse one."""
    if is_group(item):
        return 8 * item["data"].shape[0] + 8 * item["indptr"].shape[0]
    return 4 * math.prod(cast(StoredArray, item).shape)
