"""Shards: arrays that grow on disk, and a folder that is moved into its place when it is complete.

    pieces of values -held until a shard is full-> one-dimensional zarr array;  CSR blocks -> a matrix for AnnData

What is held in memory is one shard of each array.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata
import numpy as np
import zarr
from anndata.io import write_elem
from scipy import sparse
from zarr.codecs import BloscCodec

from cellwright.errors import DataFileError
from cellwright.run import why_not_written

CHUNK_VALUES = 16_384  # read and decoded at once: about 100 cells of 170 values
CHUNKS_PER_SHARD = 256  # a shard is a file; its index is read when the store is opened
COMPRESSION = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A folder to write, which is not there yet, on the disk of `target`; nothing is left of it when this ends."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        around = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise DataFileError(why_not_written(target, error)) from error
    try:
        # within, because the outer one is for this user only
        yield around / target.name
    finally:
        shutil.rmtree(around, ignore_errors=True)


class Shards:
    """A one-dimensional array that grows by whole shards: a part of one would be read and written again."""

    def __init__(self, group: zarr.Group, name: str, dtype: np.dtype | type) -> None:
        self._length = CHUNK_VALUES * CHUNKS_PER_SHARD
        self._array = group.create_array(
            name,
            shape=(0,),
            dtype=dtype,
            chunks=(CHUNK_VALUES,),
            shards=(self._length,),
            compressors=COMPRESSION,
            # all-zero columns (one feature) are values like others
            config={"write_empty_chunks": True},
        )
        self._held: list[np.ndarray] = []
        self._n_held, self._at = 0, 0

    def append(self, values: np.ndarray) -> None:
        """Further values, which take the array's type."""
        self._held.append(values.astype(self._array.dtype))
        self._n_held += len(values)
        if self._n_held >= self._length:
            held = np.concatenate(self._held)
            whole = len(held) // self._length * self._length
            self._store(held[:whole])
            self._held, self._n_held = [held[whole:]], len(held) - whole

    def finish(self) -> int:
        """Write what is held; returns how many values there are."""
        if self._n_held:
            self._store(np.concatenate(self._held))
        return self._at

    def _store(self, values: np.ndarray) -> None:
        self._array.resize((self._at + len(values),))
        self._array[self._at : self._at + len(values)] = values
        self._at += len(values)


class CSRShards:
    """A CSR matrix that grows by blocks of rows."""

    def __init__(self, group: zarr.Group, name: str, n_vars: int, dtype: np.dtype | type) -> None:
        self._matrix = group.create_group(name)
        self._n_vars = n_vars
        self._values = Shards(self._matrix, "data", dtype)
        self._columns = Shards(self._matrix, "indices", np.int32)
        self._counts: list[np.ndarray] = []

    def append(self, block: sparse.csr_matrix) -> None:
        """Further rows."""
        self._values.append(block.data)
        self._columns.append(block.indices)
        self._counts.append(np.diff(block.indptr))

    def finish(self) -> None:
        """Write what is held, where rows start, and what says that it is a matrix."""
        self._values.finish()
        n_values = self._columns.finish()
        starts = np.append(0, np.cumsum(np.concatenate(self._counts), dtype=np.int64))
        with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
            # of the columns' type where it holds them: SciPy converts one of the two at every access if they differ
            write_elem(self._matrix, "indptr", starts.astype(np.int32 if n_values < 2**31 else np.int64))
        shape = [len(starts) - 1, self._n_vars]
        self._matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
