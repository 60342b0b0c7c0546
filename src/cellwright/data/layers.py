"""Layers: cells with further layers, written to a zarr store block by block; memory is that of a block.

obs, var, uns; blocks of (X, {name: rows of a layer}) -> a zarr folder that AnnData reads
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import anndata
import numpy as np
import zarr
from anndata import AnnData
from anndata.io import write_elem

from cellwright.data.shards import COMPRESSION, CSRShards, beside
from cellwright.data.source import Matrix
from cellwright.errors import DataFileError

CHUNK_BYTES = 4_000_000  # of a dense layer, in rows of all features

Progress = Callable[[int, int], None]  # cells done, cells in all


class _Rows(Protocol):
    def append(self, block: Matrix) -> None:
        """Further rows."""

    def finish(self) -> None:
        """Write what is held."""


def write_layers(
    path: Path, cells: AnnData, blocks: Iterable[tuple[Matrix, Mapping[str, Matrix]]], progress: Progress
) -> None:
    """Write `obs`, `var` and `uns` of `cells`, and `X` and layers from blocks of rows that follow one another.

    A matrix is CSR or dense as its first block is. The store is written beside `path` and moved there when it is
    complete. Raises `DataFileError` where `path` is there already or cannot be written.
    """
    if path.exists():
        raise DataFileError(f"the folder to write must not be there; {path} is. Remove it, or give another path.")
    with beside(path) as folder:
        root = zarr.open_group(folder, mode="w", zarr_format=3)
        with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
            cells.strings_to_categoricals()
            write_elem(root, "/", AnnData(obs=cells.obs, var=cells.var, uns=cells.uns))
        _write_blocks(root, cells.shape, blocks, progress)
        folder.replace(path)


def _write_blocks(
    root: zarr.Group,
    shape: tuple[int, int],
    blocks: Iterable[tuple[Matrix, Mapping[str, Matrix]]],
    progress: Progress,
) -> None:
    rows: dict[str, _Rows] = {}
    done = 0
    for x, layers in blocks:
        for name, block in {"X": x, **layers}.items():
            if name not in rows:
                group = root if name == "X" else root.require_group("layers")
                rows[name] = _rows(group, name, shape, block)
            rows[name].append(block)
        done += x.shape[0]
        progress(done, shape[0])
    for each in rows.values():
        each.finish()


def _rows(group: zarr.Group, name: str, shape: tuple[int, int], block: Matrix) -> _Rows:
    if name in group:
        del group[name]
    return _Dense(group, name, shape) if isinstance(block, np.ndarray) else CSRShards(group, name, shape[1], np.float32)


class _Dense:
    """Rows of a dense matrix."""

    def __init__(self, group: zarr.Group, name: str, shape: tuple[int, int]) -> None:
        chunk = (min(shape[0], max(1, CHUNK_BYTES // (4 * shape[1]))), shape[1])
        self._array = group.create_array(name, shape=shape, dtype=np.float32, chunks=chunk, compressors=COMPRESSION)
        self._array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        self._at = 0
        self._chunk = chunk[0]
        self._held: list[np.ndarray] = []

    def append(self, block: Matrix) -> None:
        """Further rows; whole chunks are written, for a part of one would be read and written again."""
        assert isinstance(block, np.ndarray), "rows of a layer are all dense or all sparse"
        self._held.append(block)
        n_held = sum(len(one) for one in self._held)
        if n_held >= self._chunk:
            whole = n_held // self._chunk * self._chunk
            held = np.concatenate(self._held)
            self._store(held[:whole])
            self._held = [held[whole:]]

    def finish(self) -> None:
        """Write what is held."""
        if self._held:
            self._store(np.concatenate(self._held))

    def _store(self, rows: np.ndarray) -> None:
        self._array[self._at : self._at + len(rows)] = rows
        self._at += len(rows)
