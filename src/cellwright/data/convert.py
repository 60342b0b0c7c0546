"""Convert: files become one sharded zarr store that AnnData reads, and that is fast to train from.

    paths -> joined rows (features by name) -> shuffled in blocks -> compact counts, a shard at a time -> a zarr folder

Held in memory are, some times over, the values of 4,096 cells, or 100 MB of them if that is more; and `obs` and the row
starts (8 bytes a cell). A dense file is made sparse `PIECE_BYTES` at a time. A file stored by columns (CSC) or in a
format other than HDF5 and zarr is held whole. The folder is written beside and moved into place when it is complete.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import read_elem, write_elem
from pydantic import Field
from scipy import sparse

from cellwright.core.options import Options
from cellwright.data.contents import Contents, Table
from cellwright.data.disk import ENOUGH_BLOCK_ROWS, store_on_disk
from cellwright.data.files import read_path
from cellwright.data.match import MatchedStore
from cellwright.data.memory import MemoryStore
from cellwright.data.plan import Plan, Sequential, Shuffled
from cellwright.data.safety import reading
from cellwright.data.shards import CSRShards, beside
from cellwright.data.source import Matrix, Store
from cellwright.data.stored import is_array, is_group, stored_form
from cellwright.errors import DataError, DataFileError, SchemaMismatch

PIECE_BYTES = 16_000_000  # of a dense file, read at once
_COUNTS = (np.uint8, np.uint16, np.uint32)
_LARGEST_WHOLE = 2**24  # float32, which all values pass through, holds every integer up to here

Progress = Callable[[str, int, int], None]  # what is being done, cells done, cells in all


class ConvertOptions(Options):
    """How files are joined and stored."""

    layer: str | None = Field(None, description="key in layers that holds the values; without it, X")
    modality: str | None = Field(None, description="of a MuData, the one to convert")
    join: Literal["inner", "outer"] = Field(
        "inner", description="features of the store: those of every file, or of any (a file's missing ones are zeros)"
    )
    shuffle: bool = Field(
        default=True, description="shuffle the cells in blocks, so that any piece of the store mixes them"
    )
    seed: int = Field(0, ge=0, description="of the shuffle")
    file_key: str = Field("file", description="column of obs for the name of the file that a cell came from")


@dataclass(frozen=True)
class Converted:
    """What was written. `missing`: features of the store that a file lacks; `left_out`: those only some have."""

    n_obs: int
    n_vars: int
    dtype: np.dtype
    missing: Mapping[str, tuple[str, ...]]  # by file
    left_out: tuple[str, ...]


def convert(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    options: ConvertOptions = ConvertOptions(),  # noqa: B008  frozen
    progress: Progress | None = None,
) -> Converted:
    """Join the cells of `paths` (what `open_data` takes as a path) in the zarr folder `out`.

    `X` is CSR: `uint8`, `uint16` or `uint32` where all values are counts, else `float32`; columns are `int32`. `obs`
    has all columns of all files and `file_key`; where names occur twice, all of them get `-<file>` behind them. `var`
    has the columns that are the same in all files. An ordered category of `obs` becomes unordered where files differ in
    its categories or their order. Nothing else is kept: other layers (or `X`, with `layer`), `obsm`, `varm`, `obsp`,
    `varp`, `uns` and `raw` are left out. Opens with `anndata.read_zarr` and with `open_data`.

    Raises `DataFileError` where `out` exists or cannot be written, or an input cannot be read, `SchemaMismatch` where
    the files have no feature in common, `DataError` for two files of one name or a `file_key` that `obs` has already.
    """
    target = Path(out).expanduser()
    if target.exists():
        raise DataFileError(f"the folder to write must not be there; {target} is. Remove it, or give another path.")
    files = _files([Path(path).expanduser() for path in paths], options)
    names, missing, left_out = _joined_names({name: table.var_names for name, (_, table) in files.items()}, options)
    store = JoinedStore([_over(names, table, found.origin) for found, table in files.values()])
    rows = _Rows(store, options, progress or (lambda *_: None))
    with beside(target) as folder:
        dtype = _type_for(rows)
        _write(folder, rows, dtype, _annotation(files, names, options))
        folder.replace(target)
    return Converted(store.n_obs, store.n_vars, dtype, missing, left_out)


class JoinedStore(Store):
    """The rows of several stores over the same features, one store after the other."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._firsts = np.append(0, np.cumsum([store.n_obs for store in stores]))
        self.where = ", ".join(store.where for store in stores)
        self.n_obs, self.n_vars = int(self._firsts[-1]), stores[0].n_vars
        # the smallest, for a larger one means rows of fewer bytes; in memory any will do
        wanted = [store.preferred_block_rows for store in stores]
        self.preferred_block_rows = min(rows if rows > 1 else ENOUGH_BLOCK_ROWS for rows in wanted)

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        cuts = np.searchsorted(rows, self._firsts)
        blocks = [
            sparse.csr_matrix(store.read(rows[begin:end] - first))
            for store, first, begin, end in zip(self._stores, self._firsts[:-1], cuts[:-1], cuts[1:], strict=True)
            if begin < end
        ]
        return sparse.vstack(blocks, format="csr"), np.arange(len(rows))


class SparsePieces(Store):
    """The rows of a dense store as CSR, made `PIECE_BYTES` at a time: as float32 they may be many times as large."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.where, self.n_obs, self.n_vars = store.where, store.n_obs, store.n_vars
        self.preferred_block_rows = store.preferred_block_rows

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        at_once = max(1, PIECE_BYTES // (4 * self.n_vars))
        pieces = [rows[start : start + at_once] for start in range(0, max(1, len(rows)), at_once)]
        blocks = [sparse.csr_matrix(self._store.read(piece)) for piece in pieces]
        return sparse.vstack(blocks, format="csr"), np.arange(len(rows))


class _Rows:
    """All rows in the order of the store that is written, a piece at a time; twice the same."""

    def __init__(self, store: Store, options: ConvertOptions, progress: Progress) -> None:
        self.store, self._seed, self._progress = store, options.seed, progress
        self._plan: Plan = Shuffled(store.preferred_block_rows) if options.shuffle else Sequential()

    def pieces(self, doing: str) -> Iterator[tuple[np.ndarray, sparse.csr_matrix]]:
        """Row numbers and values of each piece."""
        done, n_obs = 0, self.store.n_obs
        self._progress(doing, 0, n_obs)
        rng = np.random.default_rng(self._seed)
        for request in self._plan.requests(np.arange(n_obs), 1024, rng):
            matrix, at = self.store.around(request.rows)
            order = np.concatenate(request.minibatches)
            yield request.rows[order], matrix[at[order]]
            done += len(order)
            self._progress(doing, done, n_obs)


# --- what the files hold ---


def _files(paths: Sequence[Path], options: ConvertOptions) -> dict[str, tuple[Contents, Table]]:
    """Contents and the one table of each file, by its name without suffix."""
    found: dict[str, tuple[Contents, Table]] = {}
    for path in paths:
        name = path.stem
        if name in found:
            raise DataError(f"files to join must have different names; two are called {name!r}. Rename one.")
        contents = read_path(path, options.layer, options.modality)
        if len(contents.tables) > 1:
            raise DataError(
                f"{path.name} must be one modality to be converted; it holds {', '.join(contents.tables)}. Name one: "
                "modality (--modality)."
            )
        if options.file_key in contents.obs:
            raise DataError(
                f"file_key must be a column that obs has not yet; {options.file_key!r} is in obs of {path.name}. Give "
                "another name: file_key (--file-key)."
            )
        table = next(iter(contents.tables.values()))
        # a MuData may have other cells than its one modality, or the same in another order
        found[name] = replace(contents, obs=contents.obs.reindex(table.obs.index)), table
    if not found:
        raise DataFileError("there must be a file to convert; none is given. Name one or more.")
    return found


def _joined_names(
    names_of: Mapping[str, tuple[str, ...]], options: ConvertOptions
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Features of the store; of them, those that each file lacks; and those of files that the store has not."""
    every = tuple(dict.fromkeys(name for names in names_of.values() for name in names))
    sets = {file: set(names) for file, names in names_of.items()}
    common = tuple(name for name in every if all(name in names for names in sets.values()))
    if not common:
        firsts = "; ".join(f"{file} has {', '.join(names[:3])}" for file, names in list(names_of.items())[:3])
        raise SchemaMismatch(
            f"files to join must have features in common; these have none: {firsts}. Give them the same kind of names."
        )
    kept = common if options.join == "inner" else every
    missing = {file: tuple(n for n in kept if n not in names) for file, names in sets.items()}
    is_kept = set(kept)
    return kept, missing, tuple(name for name in every if name not in is_kept)


def _over(names: tuple[str, ...], table: Table, origin: str) -> Store:
    """The table's rows over these features."""
    where = f"{table.where} in {origin}"
    with reading(where):
        store = _store(table.matrix, where)
    if (store.n_obs, store.n_vars) != (len(table.obs), len(table.var_names)):
        raise DataFileError(
            f"{where} must have {len(table.obs)} rows and {len(table.var_names)} columns, as obs and var have; it has "
            f"{store.n_obs} and {store.n_vars}. The file is damaged: write it again from its source."
        )
    if table.var_names == names:
        return store
    return MatchedStore(store, pd.Index(table.var_names).get_indexer(pd.Index(names)))


def _store(matrix: object, where: str) -> Store:
    if not (is_group(matrix) or is_array(matrix)):
        return MemoryStore(matrix, where)
    if is_group(matrix) and stored_form(matrix, where) == "csc":
        return MemoryStore(read_elem(matrix), where)
    store = store_on_disk(matrix, where)
    return store if is_group(matrix) else SparsePieces(store)


def _annotation(
    files: Mapping[str, tuple[Contents, Table]], names: tuple[str, ...], options: ConvertOptions
) -> AnnData:
    """`obs` of all cells in the order of the files, and `var`."""
    parts = {name: AnnData(obs=contents.obs, var=table.var.loc[:, :]) for name, (contents, table) in files.items()}
    repeated = pd.Index(np.concatenate([part.obs_names for part in parts.values()])).has_duplicates
    joined = anndata.concat(
        parts, label=options.file_key, join="outer", merge="same", index_unique="-" if repeated else None
    )
    joined = joined[:, list(names)].copy()
    for column in joined.obs.select_dtypes("object"):
        # columns that are text in one file and numbers in another cannot be written as they are
        joined.obs[column] = joined.obs[column].map(str, na_action="ignore")
    joined.strings_to_categoricals()
    return joined


# --- writing ---


def _type_for(rows: _Rows) -> np.dtype:
    """The smallest type that holds all values."""
    largest, are_counts = 0.0, True
    for _, block in rows.pieces("looking"):
        values = block.data
        if len(values) and are_counts:
            largest = max(largest, float(values.max()))
            are_counts = bool(values.min() >= 0 and largest <= _LARGEST_WHOLE and (values == np.floor(values)).all())
    kinds = [np.dtype(kind) for kind in _COUNTS if are_counts and largest <= np.iinfo(kind).max]
    return kinds[0] if kinds else np.dtype(np.float32)


def _write(folder: Path, rows: _Rows, dtype: np.dtype, annotation: AnnData) -> None:
    root = zarr.open_group(folder, mode="w", zarr_format=3)
    matrix = CSRShards(root, "X", rows.store.n_vars, dtype)
    order = []
    for piece, block in rows.pieces("writing"):
        matrix.append(block)
        order.append(piece)
    matrix.finish()
    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        write_elem(root, "obs", annotation.obs.iloc[np.concatenate(order)])
        write_elem(root, "var", annotation.var)
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
