"""Matching new cells to a schema: modalities and features by name.

    Store over the data's features -MatchedStore-> rows over the schema's features

A feature that the data lack is zero in every cell, or NaN (not measured) where rows are sequences; one that the schema
lacks is left out.
"""

import re
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.core.schema import Schema
from cellwright.data.contents import Table
from cellwright.data.memory import MemoryStore
from cellwright.data.source import Matrix, Store
from cellwright.errors import SchemaMismatch

MAX_FILLED_SHARE = 0.2  # more missing features than this are warned of
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}")


class MatchedStore(Store):
    """The columns of another store, by position; `columns (n_vars,)`, -1 for a feature that has `fill` in every cell.

    Zeros leave sparse rows sparse; with another `fill` rows are dense where a feature is lacking.
    """

    def __init__(self, store: Store, columns: np.ndarray, fill: float = 0.0) -> None:
        self._store, self._columns, self._fill = store, columns, fill
        self._known = np.flatnonzero(columns >= 0)
        self._position = np.full(store.n_vars, -1, dtype=np.int64)
        self._position[columns[self._known]] = self._known
        self.where = store.where
        self.n_obs, self.n_vars = store.n_obs, len(columns)
        self.preferred_block_rows = store.preferred_block_rows

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        block = self._store.read(rows)
        if self._fill != 0 and len(self._known) < self.n_vars and not isinstance(block, np.ndarray):
            block = block.toarray()
        matched = self._of_dense(block) if isinstance(block, np.ndarray) else self._of_sparse(block)
        return matched, np.arange(len(rows))

    def _of_dense(self, block: np.ndarray) -> np.ndarray:
        out = np.full((len(block), self.n_vars), self._fill, dtype=np.float32)
        out[:, self._known] = block[:, self._columns[self._known]]
        return out

    def _of_sparse(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        position = self._position[block.indices]
        kept = position >= 0
        starts = np.append(0, np.cumsum(kept))[block.indptr]
        out = sparse.csr_matrix((block.data[kept], position[kept], starts), shape=(block.shape[0], self.n_vars))
        out.sort_indices()
        return out


def tables_in_schema(tables: Mapping[str, Table], schema: Schema) -> dict[str, Table]:
    """The tables under the schema's modality names. A single one on both sides is the same, whatever it is called.

    Raises `SchemaMismatch` where no modality is in common.
    """
    if len(tables) == 1 and len(schema.modalities) == 1:
        return {schema.modalities[0]: next(iter(tables.values()))}
    common = {name: tables[name] for name in schema.modalities if name in tables}
    if not common:
        raise SchemaMismatch(
            f"the model knows the modalities {', '.join(schema.modalities)}; the data have {', '.join(tables)}. "
            f"Say which one to use or what it is: open_data(..., modality={schema.modalities[0]!r})."
        )
    return common


def matched(
    store: Store, var_names: tuple[str, ...], wanted: tuple[str, ...], fill: float = 0.0
) -> tuple[Store, tuple[str, ...]]:
    """The store over the `wanted` features, with `fill` for those that it lacks, and which these are.

    Warns where more than `MAX_FILLED_SHARE` are lacking; raises `SchemaMismatch` where all are.
    """
    if var_names == wanted:
        return store, ()
    columns = pd.Index(var_names).get_indexer(pd.Index(wanted))
    lacking = tuple(name for name, column in zip(wanted, columns, strict=True) if column < 0)
    if len(lacking) == len(wanted):
        raise SchemaMismatch(
            f"{store.where} must have features of the model; it has none of the {len(wanted)}: the model has "
            f"{', '.join(wanted[:3])}, the data have {', '.join(var_names[:3])}. {_remedy(var_names, wanted)}"
        )
    if len(lacking) > MAX_FILLED_SHARE * len(wanted):
        become = "count as not measured" if np.isnan(fill) else "are filled with zeros"
        warnings.warn(
            f"{store.where} lacks {len(lacking)} of the model's {len(wanted)} features "
            f"({', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}); they {become}.",
            UserWarning,
            stacklevel=4,
        )
    return MatchedStore(store, columns, fill), lacking


def absent(n_vars: int, where: str) -> Store:
    """A modality that no cell has."""
    return MemoryStore(sparse.csr_matrix((0, n_vars), dtype=np.float32), where)


def _remedy(var_names: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    data_ids, model_ids = _are_ensembl(var_names), _are_ensembl(wanted)
    if model_ids and not data_ids:
        return "The model has Ensembl ids and the data have symbols: set adata.var_names to Ensembl ids."
    if data_ids and not model_ids:
        return "The data have Ensembl ids and the model has symbols: set adata.var_names to symbols."
    return "Set adata.var_names to the names that the model knows."


def _are_ensembl(names: tuple[str, ...]) -> bool:
    return sum(bool(_ENSEMBL.match(name)) for name in names) > len(names) / 2
