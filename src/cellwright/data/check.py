"""Checks of values before a model sees them: every value is looked at, in order, none is sampled.

    source, support -> nothing, or `UnsuitableValues` with matrix, value, cell, feature and remedy

A likelihood on the wrong values trains without complaint and answers wrongly; so these run before the first step.
"""

import warnings
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from scipy import sparse

from cellwright.core.support import Support
from cellwright.data.source import Matrix, StoredSource
from cellwright.errors import UnsuitableValues
from cellwright.kernels.compiled import backend

LARGEST_LOGARITHM = 50.0  # exp(50) counts are in no cell
_ROWS_AT_ONCE = 4096
_NEEDS = {
    Support.missing: "finite numbers, or NaN for what was not measured",
    Support.real: "finite numbers",
    Support.non_negative: "numbers that are not negative",
    Support.counts: "non-negative integers",
    Support.binary: "only 0 and 1",
}
# a model is known here by its name only: which of these options it has, and has already, it does not say
_REMEDIES = {
    Support.non_negative: "give a layer without negative values, or choose options for any number where there are such "
    "(transform='none', decoding='published')",
    Support.counts: "give the layer that holds raw counts, or choose options for other values where there are such "
    "(likelihood='gaussian', cells='constant')",
    Support.binary: "make a layer of (X > 0), or choose a likelihood for counts",
}
# what was found right: a source that goes from fit to tasks is looked through once
_within: WeakKeyDictionary[StoredSource, set[tuple[str, Support]]] = WeakKeyDictionary()


def check_values(source: StoredSource, support: Support, wanted_by: str, modality: str | None = None) -> None:
    """Refuse values outside `support`, which `wanted_by` (`negative_binomial`) needs, in one modality (default: first).

    A source that was found right is not looked through again. Raises `UnsuitableValues` about the first such value.
    """
    modality = modality or source.schema.modalities[0]
    if any(known == modality and support <= within for known, within in _within.get(source, ())):
        return
    for start, block in _blocks(source, modality):
        _refuse_values(source, modality, start, block, support, wanted_by)
    _within.setdefault(source, set()).add((modality, support))


def check_cells(source: StoredSource, support: Support, wanted_by: str, modality: str | None = None) -> None:
    """`check_values`, and for counts a total above zero in every cell, for it is the library; in one pass.

    A cell on which the modality was not measured is left out. Raises `UnsuitableValues` about the first value, or with
    how many cells have no count.
    """
    modality = modality or source.schema.modalities[0]
    is_empty = np.zeros(source.n_obs, dtype=bool)
    for start, block in _blocks(source, modality):
        _refuse_values(source, modality, start, block, support, wanted_by)
        is_empty[start : start + block.shape[0]] = np.asarray(block.sum(axis=1)).ravel() == 0
    _within.setdefault(source, set()).add((modality, support))
    if modality in source.row_of:
        is_empty &= source.row_of[modality] >= 0
    if support is Support.counts and is_empty.any():
        empty = source.annotation.obs.index[is_empty]
        some = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
        raise UnsuitableValues(
            f"{source.stores[modality].where} has {len(empty)} cells without a count ({some}): {wanted_by} needs "
            "cells with a total above zero; filter them, e.g. scanpy.pp.filter_cells(adata, min_counts=1)."
        )


def warn_of_logarithms(source: StoredSource, wanted_by: str, modality: str | None = None) -> None:
    """Warn where values look like logarithms already and a model is about to take their logarithm.

    That is: not whole, and none above 50, among the first 1,000 cells; counts, and rates such as RPKM, are not.
    """
    modality = modality or source.schema.modalities[0]
    block = source.read(modality, np.arange(min(1000, source.n_obs)))
    values = block.data if isinstance(block, sparse.csr_matrix) else block
    if values.size and values.max() <= LARGEST_LOGARITHM and (values != np.floor(values)).any():
        warnings.warn(
            f"{source.stores[modality].where} holds values that are not counts (up to {values.max():.3g}) and may be "
            f"logarithms already; {wanted_by} takes their logarithm again. Give the layer that holds counts, or choose "
            "transform='none'.",
            UserWarning,
            stacklevel=3,
        )


def _blocks(source: StoredSource, modality: str) -> Iterator[tuple[int, Matrix]]:
    for start in range(0, source.n_obs, _ROWS_AT_ONCE):
        yield start, source.read(modality, np.arange(start, min(start + _ROWS_AT_ONCE, source.n_obs)))


def _refuse_values(
    source: StoredSource, modality: str, start: int, block: Matrix, support: Support, wanted_by: str
) -> None:
    values = block if isinstance(block, np.ndarray) else block.data
    if _any_outside(values, support):
        bad = _outside(values, support)
        row, column = _first(block, bad)
        value = float(block[row, column])
        cell, feature = source.annotation.obs.index[start + row], source.schema.features[modality][column]
        raise UnsuitableValues(
            f"{source.stores[modality].where} holds {value:.7g} (cell {cell!r}, feature {feature!r}): "
            f"{wanted_by} needs {_needs_and_remedy(value, support)}."
        )


def _any_outside(values: np.ndarray, support: Support) -> bool:
    if backend() == "torch" or support is Support.missing:
        return bool(_outside(values, support).any())
    from cellwright.kernels.values import count_outside

    infinite, negative, broken, large = count_outside(np.ascontiguousarray(values).reshape(-1))
    counted = {Support.real: infinite, Support.non_negative: negative, Support.counts: broken, Support.binary: large}
    return any(found for kind, found in counted.items() if kind <= support)


def _outside(values: np.ndarray, support: Support) -> np.ndarray:
    bad = np.isinf(values) if support is Support.missing else ~np.isfinite(values)
    if support >= Support.non_negative:
        bad |= values < 0
    if support >= Support.counts:
        bad |= values != np.floor(values)
    if support >= Support.binary:
        bad |= values > 1
    return bad


def _first(block: Matrix, bad: np.ndarray) -> tuple[int, int]:
    """Row and column of the first value that is bad."""
    first = int(bad.argmax())
    if isinstance(block, sparse.csr_matrix):
        return int(np.searchsorted(block.indptr, first, side="right")) - 1, int(block.indices[first])
    return divmod(first, bad.shape[1])


def _needs_and_remedy(value: float, support: Support) -> str:
    if not np.isfinite(value):
        return f"{_NEEDS[min(support, Support.real)]}; fill such values, or leave their cells or features out"
    return f"{_NEEDS[support]}; {_REMEDIES[support]}"
