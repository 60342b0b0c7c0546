"""Contents: what an AnnData, a MuData or a file holds, as tables under their modality's name. Nothing is converted yet.

    AnnData | MuData | HDF5 or zarr group -> Contents(obs, {modality: Table})

A table's matrix is an array, a SciPy matrix, or an array or group on disk; a store is made of it later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem
from mudata import MuData

from cellwright.core.schema import repeated
from cellwright.data.safety import reading
from cellwright.data.stored import StoredGroup, is_array, is_group
from cellwright.errors import DataError, DataFileError, MissingKey

ONLY_MODALITY = "X"  # what the one modality of an AnnData is called where the caller does not say


@dataclass(frozen=True, eq=False)
class Table:
    """One modality: its cells and features by name, and its matrix wherever it lies."""

    obs: pd.DataFrame
    var: pd.DataFrame
    matrix: object
    where: str  # how errors name the matrix

    def __post_init__(self) -> None:
        _refuse_unusable_cells(self.obs, self.where)
        if twice := repeated(self.var_names):
            raise DataError(
                f"the features of {self.where} must have unique names; {len(twice)} are repeated "
                f"({', '.join(twice[:5])}). Call adata.var_names_make_unique() first."
            )
        if not self.var_names:
            raise DataError(f"{self.where} must have at least one feature; it has none. Check how they were filtered.")

    @cached_property
    def var_names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(self.var.index)


@dataclass(frozen=True, eq=False)
class Contents:
    """All cells with their annotation, and one table per modality; `origin` is the file's name, or `memory`."""

    obs: pd.DataFrame
    tables: Mapping[str, Table]
    origin: str
    obsm: Mapping[str, Any] | StoredGroup = field(default_factory=dict)  # arrays per cell, wherever they lie

    def __post_init__(self) -> None:
        _refuse_unusable_cells(self.obs, self.origin)

    def places(self, key: str) -> np.ndarray:
        """`obsm[key]` as numbers, (n_obs, n_coordinates) float32.

        Raises `MissingKey`, `DataError` for what is no finite number, `DataFileError` for a damaged file.
        """
        if key not in self.obsm:
            raise MissingKey.of("obsm", key, "coordinates_key", self.obsm)
        item = self.obsm[key]
        with reading(f"obsm[{key!r}] in {self.origin}"):
            places = np.asarray(read_elem(item) if is_array(item) or is_group(item) else item)
        if places.ndim != 2 or places.shape[1] == 0 or places.dtype.kind not in "iuf":
            raise DataError(
                f"obsm[{key!r}] (coordinates_key) must hold numbers, one row per cell; it holds {places.dtype} of "
                f"shape {places.shape}. Give an array of numbers."
            )
        if len(places) != len(self.obs):
            raise DataFileError(
                f"obsm[{key!r}] in {self.origin} must have {len(self.obs)} rows, as obs has; it has {len(places)}. "
                "The file is damaged: write it again from its source."
            )
        with np.errstate(over="ignore"):
            n_places, places = len(np.unique(places, axis=0)), places.astype(np.float32)
        if n_bad := int((~np.isfinite(places)).any(axis=1).sum()):
            raise DataError(
                f"obsm[{key!r}] (coordinates_key) must hold finite numbers of float32; {n_bad} cells have others. "
                "Leave those cells out."
            )
        if (n_left := len(np.unique(places, axis=0))) < n_places:
            raise DataError(
                f"obsm[{key!r}] (coordinates_key) must keep its {n_places} places apart in float32; {n_left} are left. "
                "Subtract an offset that all cells have in common."
            )
        return places


def of_anndata(adata: AnnData, layer: str | None, modality: str | None, origin: str) -> Contents:
    """The contents of an AnnData."""
    table = _table_of_anndata(adata, layer, "")
    return Contents(table.obs, {modality or ONLY_MODALITY: table}, origin, adata.obsm)


def of_mudata(mdata: MuData, layer: str | None, modality: str | None, origin: str) -> Contents:
    """The contents of a MuData, or of its one modality."""
    _refuse_shared_features(mdata.axis, origin)
    names = _chosen(list(mdata.mod), modality)
    tables = {name: _table_of_anndata(mdata.mod[name], layer, name) for name in names}
    return replace(_joined(mdata.obs, tables, modality, origin), obsm=_places_of(mdata, names, modality))


def of_group(group: StoredGroup, layer: str | None, modality: str | None, origin: str) -> Contents:
    """The contents of an HDF5 file or zarr folder that AnnData or MuData wrote."""
    if "mod" not in group:
        table = _table_of_group(group, layer, "", origin)
        return Contents(table.obs, {modality or ONLY_MODALITY: table}, origin, group.get("obsm") or {})
    _refuse_shared_features(group.attrs.get("axis", 0), origin)
    modalities = group["mod"]
    # the order of the names in the file is alphabetical; the MuData's own stands in this attribute
    names = _chosen([str(name) for name in modalities.attrs.get("mod-order", list(modalities))], modality)
    tables = {name: _table_of_group(modalities[name], layer, name, origin) for name in names}
    inner = modalities[names[0]] if modality is not None else group
    return replace(_joined(_frame(group, "obs", origin), tables, modality, origin), obsm=inner.get("obsm") or {})


def of_parts(parts: Mapping[str, Contents]) -> Contents:
    """One modality per part, joined by the names of the cells: those of the first part, then what others have beside.

    Places (`obsm`) are those of the first part, if it has all the cells. Raises `DataError` for no part, and for a part
    with several modalities.
    """
    if not parts:
        raise DataError("the parts must be at least one modality by its name; there are none. Give {'rna': adata}.")
    tables = {name: _only_table(part, name) for name, part in parts.items()}
    cells = list(dict.fromkeys(name for table in tables.values() for name in table.obs.index))
    first = next(iter(parts.values()))
    origins = dict.fromkeys(part.origin for part in parts.values())
    joined = _joined(pd.DataFrame(index=cells), tables, None, " + ".join(origins))
    return replace(joined, obsm=first.obsm) if len(first.obs) == len(cells) else joined


def _only_table(part: Contents, name: str) -> Table:
    if len(part.tables) > 1:
        raise DataError(
            f"the part {name!r} must hold one modality; {part.origin} holds {', '.join(part.tables)}. "
            "Give the MuData by itself, or one modality of it: mdata['name']."
        )
    (table,) = part.tables.values()
    return replace(table, where=f"{table.where} of {name!r}")


def _places_of(mdata: MuData, names: list[str], modality: str | None) -> Mapping[str, Any]:
    places: Mapping[str, Any] = mdata.mod[names[0]].obsm if modality is not None else mdata.obsm
    return places


def _table_of_anndata(adata: AnnData, layer: str | None, modality: str) -> Table:
    matrix = _x(adata) if layer is None else _layer(adata.layers, layer)
    return _table(adata.obs, adata.var, matrix, layer, modality)


def _x(adata: AnnData) -> object:
    if adata.isbacked and not adata.is_view:
        if not adata.file.is_open:
            adata.file.open()
        # the item on disk itself; `adata.X` is a wrapper around it
        return adata.file["X"]
    return adata.X


def _table_of_group(group: StoredGroup, layer: str | None, modality: str, origin: str) -> Table:
    obs, var = _frame(group, "obs", origin), _frame(group, "var", origin)
    return _table(obs, var, _matrix(group, layer), layer, modality)


def _matrix(group: StoredGroup, layer: str | None) -> object:
    if layer is None:
        return group.get("X")
    layers = group.get("layers")
    return _layer({} if layers is None else layers, layer)


def _table(obs: pd.DataFrame, var: pd.DataFrame, matrix: object, layer: str | None, modality: str) -> Table:
    where = ("X" if layer is None else f"layers[{layer!r}]") + (f" of {modality!r}" if modality else "")
    if matrix is None:
        raise DataError(f"{where} must hold the values; it is empty. Name the layer that holds them: layer=...")
    obs, var = (frame.set_axis(frame.index.astype(str), axis="index") for frame in (obs, var))
    return Table(obs, var, matrix, where)


def _layer(layers: Mapping[str, object] | StoredGroup, layer: str) -> object:
    if layer not in layers:
        raise MissingKey.of("layers", layer, "layer", layers)
    return layers[layer]


def _frame(group: StoredGroup, name: str, origin: str) -> pd.DataFrame:
    if name not in group:
        raise DataFileError(f"{origin} must be written by AnnData or MuData; it has no {name!r}. Give another file.")
    if is_array(group[name]):
        raise DataFileError(
            f"{name!r} of {origin} must be a data frame; it is one array, as anndata before 0.7 wrote it. "
            "Read the file with anndata.read_h5ad and write it again."
        )
    return read_elem(group[name])


def _chosen(names: list[str], modality: str | None) -> list[str]:
    if modality is not None and modality not in names:
        raise MissingKey.of("the MuData", modality, "modality", names)
    return names if modality is None else [modality]


def _refuse_shared_features(axis: int, origin: str) -> None:
    if axis != 0:
        raise DataError(
            f"the modalities of {origin} must share cells (axis 0); they share features. Open one: mdata['name']."
        )


def _refuse_unusable_cells(obs: pd.DataFrame, what: str) -> None:
    if not len(obs):
        raise DataError(f"{what} must have at least one cell; it has none. Check how they were filtered.")
    if not obs.index.is_unique:
        twice = obs.index[obs.index.duplicated()].unique()
        raise DataError(
            f"the cells of {what} must have unique names, for results are matched by name; {len(twice)} are "
            f"repeated ({', '.join(map(str, twice[:5]))}). Call adata.obs_names_make_unique() first."
        )


def _joined(obs: pd.DataFrame, tables: Mapping[str, Table], modality: str | None, origin: str) -> Contents:
    """Joint annotation: the MuData's own columns, then those of a modality as `rna:cell_type`.

    A column is known without the prefix too, where the modalities that have it agree on the cells that they share. One
    modality alone has its own cells in its own order.
    """
    if modality is not None:
        own = tables[modality].obs
        obs = _with_columns(obs.reindex(own.index), {str(column): own[column] for column in own})
    prefixed = {f"{name}:{column}": table.obs[column] for name, table in tables.items() for column in table.obs}
    return Contents(_with_columns(obs, _agreed(obs.index, tables) | prefixed), tables, origin)


def _agreed(cells: pd.Index, tables: Mapping[str, Table]) -> dict[str, pd.Series]:
    """The columns on which all modalities that have them agree; each cell has the first value that there is."""
    names = dict.fromkeys(str(column) for table in tables.values() for column in table.obs)
    found = {}
    for name in names:
        columns = [table.obs[name].reindex(cells) for table in tables.values() if name in table.obs]
        if (column := _merged(columns)) is not None:
            found[name] = column
    return found


def _merged(columns: list[pd.Series]) -> pd.Series | None:
    """The first value that a cell has in any column; None if two columns differ where both have one."""
    merged, *others = columns
    for other in others:
        a, b = merged.astype(object), other.astype(object)
        both = a.notna() & b.notna()
        if (a[both] != b[both]).any():
            return None
        filled = a.where(a.notna(), b)
        if any(hasattr(column, "cat") for column in (merged, other)):
            # categories keep their order, those of the first column first
            values = [value for column in (merged, other) for value in _levels(column)]
            merged = filled.astype(pd.CategoricalDtype(list(dict.fromkeys(values))))
        else:
            merged = filled.infer_objects()
    return merged


def _levels(column: pd.Series) -> list[object]:
    return list(column.cat.categories) if hasattr(column, "cat") else sorted(column.dropna().unique(), key=str)


def _with_columns(obs: pd.DataFrame, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    new = {key: column.reindex(obs.index) for key, column in columns.items() if key not in obs}
    return pd.concat([obs, pd.DataFrame(new, index=obs.index)], axis="columns")
