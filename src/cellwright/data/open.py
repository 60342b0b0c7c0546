"""open_data: an AnnData, a MuData or a path, or one per modality, becomes a source of minibatches.

    data -> Contents (tables as they lie) -> one Store per modality -> StoredSource(schema, stores, annotation)

With a `schema` (a saved run on new cells) features and categories are matched to it by name; else it is made here.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import psutil
from anndata import AnnData
from anndata.io import read_elem
from mudata import MuData

from cellwright.core.schema import Coordinates, Schema
from cellwright.data import contents
from cellwright.data.annotate import Keys, annotate, described, keys_in_schema
from cellwright.data.contents import Contents, Table
from cellwright.data.disk import store_on_disk
from cellwright.data.files import read_path
from cellwright.data.match import absent, matched, tables_in_schema
from cellwright.data.memory import MemoryStore
from cellwright.data.safety import reading
from cellwright.data.source import Store, StoredSource
from cellwright.data.steps import StepKeys, steps_of
from cellwright.data.stored import Stored, is_array, is_group, memory_bytes
from cellwright.errors import DataError, DataFileError, MissingKey, SchemaMismatch

Openable: TypeAlias = AnnData | MuData | str | PathLike[str]

MAX_MEMORY_SHARE = 0.25  # of the available memory that a matrix may take before it is read in pieces


def open_data(
    data: Openable | Mapping[str, Openable],
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    condition_key: str | None = None,
    control: str | None = None,
    time_key: str | None = None,
    covariate_keys: Sequence[str] = (),
    coordinates_key: str | None = None,
    step_key: str | None = None,
    sequence_key: str | None = None,
    quantity_key: str | None = None,
    modality: str | None = None,
    schema: Schema | None = None,
    in_memory: bool | None = None,
) -> StoredSource:
    """Open cells as a source of minibatches. The object or file given is never changed, and sparse values stay sparse.

    - `data`: an AnnData (also a view or backed), a MuData, or a path: `.h5ad`, `.h5mu`, a zarr folder that either
      wrote, a 10x Genomics `.h5`, or a folder with `matrix.mtx`. Or one of these per modality, `{"rna": "a.h5ad",
      "protein": adata}`, joined by the names of the cells; a cell need not be in all of them.
    - `layer`: key in `layers` that holds the values; None is `X`. Every modality that is opened must have it.
    - `batch_key`, `label_key`, `condition_key`: columns of `obs`. A missing value has the code -1: not labelled,
      unknown.
    - `control`: the value of `condition_key` that untreated cells have.
    - `time_key`: column of `obs` with numbers.
    - `covariate_keys`: further columns of `obs`: numbers are continuous, everything else is one-hot.
    - `coordinates_key`: key in `obsm` with the place of each cell in the tissue.
    - `step_key`: column of `var` with numbers (time, rank, window): a row then is a sequence, or several if
      `sequence_key`, a column of `var`, says to which one (experiment) a feature belongs; `quantity_key` names what is
      measured where a step holds more than one value. NaN is a missing value. Features at one place are replicates.
    - `modality`: of a MuData, the one to open, with its own cells; None opens all, over the cells of the MuData. Of
      an AnnData, the name by which its values go. A modality's own column is known as `rna:cell_type`, and as
      `cell_type` where the modalities that have it agree.
    - `schema`: of the model that the cells are for. Features are matched by name, those that the data lack are zeros
      (NaN where rows are sequences) and listed in `filled_features`; a category that the model does not know has the
      code -1. Keys that are not given are the schema's, where `obs` has them.
    - `in_memory`: True reads the matrix whole; False reads each minibatch from disk (CSR or dense, in HDF5 or zarr);
      None reads it whole if it takes less than a quarter of the available memory.

    Returns a source over all cells in the input's order. A streamed file stays open until the source is collected.

    Raises `MissingKey` for a layer, modality or column that is not there (it lists those that are); `SchemaMismatch`
    where no feature or modality is in common with `schema`; `DataFileError` for a file that is missing, damaged,
    unsafe or not what its name says; `DataError` for no cells, no features, repeated names, or a matrix that cannot
    be read in pieces.
    """
    found = _contents(data, layer, modality)
    keys = Keys(batch_key, label_key, condition_key, time_key, tuple(covariate_keys), coordinates_key)
    in_var = StepKeys(step_key, sequence_key, quantity_key)
    tables = dict(found.tables) if schema is None else tables_in_schema(found.tables, schema)
    stores = {name: _store(table, found.origin, in_memory=in_memory) for name, table in tables.items()}
    filled: tuple[str, ...] = ()
    if schema is None:
        features = {name: table.var_names for name, table in tables.items()}
        known = described(found.obs, keys)
        places = None if coordinates_key is None else found.places(coordinates_key)
        where = None if places is None else Coordinates(key=str(coordinates_key), n=places.shape[1])
        steps = steps_of(next(iter(tables.values())).var, in_var)
        schema = Schema(features=features, control=control, coordinates=where, steps=steps, **known)
    else:
        in_var.refuse_beside(schema)
        _refuse_another_control(control, schema)
        keys = keys_in_schema(found.obs, keys, schema)
        stores, filled = _in_schema(stores, tables, schema)
        places = _places_in_schema(found, coordinates_key, schema)
    return StoredSource(
        schema=schema,
        stores=stores,
        annotation=annotate(found.obs, keys, schema, places),
        row_of=_row_of(found.obs.index, tables, schema),
        origin=found.origin,
        filled_features=filled,
    )


def _refuse_another_control(control: str | None, schema: Schema) -> None:
    if control not in (None, schema.control):
        raise SchemaMismatch(
            f"control={control!r} cannot be used: the model was built with {schema.control!r}. Leave it out."
        )


def _places_in_schema(found: Contents, key: str | None, schema: Schema) -> np.ndarray | None:
    """The coordinates of new cells, for a model that was built with coordinates."""
    if schema.coordinates is None:
        if key is not None:
            raise SchemaMismatch(
                f"coordinates_key={key!r} cannot be used: the model was built without coordinates. Leave it out."
            )
        return None
    places = found.places(key or schema.coordinates.key)
    if places.shape[1] != schema.coordinates.n:
        raise SchemaMismatch(
            f"obsm[{key or schema.coordinates.key!r}] must have {schema.coordinates.n} columns, as the model's data "
            f"had; it has {places.shape[1]}. Give coordinates of the same space."
        )
    return places


def _contents(data: object, layer: str | None, modality: str | None) -> Contents:
    if isinstance(data, Mapping):
        parts = data if modality is None else {modality: _part(data, modality)}
        return contents.of_parts({name: _contents(part, layer, None) for name, part in parts.items()})
    if isinstance(data, AnnData):
        origin = Path(data.filename).name if data.isbacked else "memory"
        return contents.of_anndata(data, layer, modality, origin)
    if isinstance(data, MuData):
        return contents.of_mudata(data, layer, modality, "memory")
    if isinstance(data, str | PathLike):
        return read_path(Path(data).expanduser(), layer, modality)
    raise DataError(
        f"data must be an AnnData, a MuData, a path, or one of these per modality; it is {type(data).__name__}. "
        "Make one: anndata.AnnData(X)."
    )


def _part(parts: Mapping[str, object], modality: str) -> object:
    if modality not in parts:
        raise MissingKey.of("the data", modality, "modality", parts)
    return parts[modality]


def _store(table: Table, origin: str, *, in_memory: bool | None) -> Store:
    where = table.where if origin == "memory" else f"{table.where} in {origin}"
    if not (is_group(table.matrix) or is_array(table.matrix)):
        if in_memory is False:
            raise DataError(
                f"{table.where} of {origin} must lie in an .h5ad, .h5mu or zarr to be read in pieces; it is in memory. "
                "Leave in_memory out, or write it first: adata.write_h5ad(...)."
            )
        return MemoryStore(table.matrix, where)
    with reading(where):
        whole = _fits_in_memory(table.matrix) if in_memory is None else in_memory
        store = MemoryStore(read_elem(table.matrix), where) if whole else store_on_disk(table.matrix, where)
    if (store.n_obs, store.n_vars) != (len(table.obs), len(table.var_names)):
        raise DataFileError(
            f"{where} must have {len(table.obs)} rows and {len(table.var_names)} columns, as obs and var have; it has "
            f"{store.n_obs} and {store.n_vars}. The file is damaged: write it again from its source."
        )
    return store


def _fits_in_memory(matrix: Stored) -> bool:
    return memory_bytes(matrix) < MAX_MEMORY_SHARE * psutil.virtual_memory().available


def _in_schema(
    stores: Mapping[str, Store], tables: Mapping[str, Table], schema: Schema
) -> tuple[dict[str, Store], tuple[str, ...]]:
    """The stores over the schema's modalities and features, in its order, and the features that were filled."""
    out: dict[str, Store] = {}
    filled: list[str] = []
    for name, wanted in schema.features.items():
        if name in stores:
            # a step that new sequences lack was not measured: a zero would be a value
            fill = np.nan if schema.steps is not None and name == schema.modalities[0] else 0.0
            out[name], lacking = matched(stores[name], tables[name].var_names, wanted, fill)
            filled.extend(lacking)
        else:
            out[name] = absent(len(wanted), name)
    return out, tuple(filled)


def _row_of(cells: pd.Index, tables: Mapping[str, Table], schema: Schema) -> dict[str, np.ndarray]:
    """Where each cell lies in a modality that has not the same cells in the same order; -1 where it is not measured."""
    row_of = {name: tables[name].obs.index.get_indexer(cells) for name in schema.modalities if name in tables}
    row_of |= {name: np.full(len(cells), -1) for name in schema.modalities if name not in tables}
    in_place = np.arange(len(cells))
    return {name: rows for name, rows in row_of.items() if not np.array_equal(rows, in_place)}
