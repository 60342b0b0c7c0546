"""Annotation: columns of `obs` as codes in the schema's order.

    obs, keys -described-> categories for a new Schema
    obs, keys, schema -annotate-> Annotation: codes (n_obs,), -1 where unknown

All categories are text. A category's code depends on which values occur, not on the order of the cells.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from cellwright.core.schema import Categories, Covariate, Schema
from cellwright.data.source import Annotation
from cellwright.errors import DataError, MissingKey, SchemaMismatch


@dataclass(frozen=True)
class Keys:
    """Which columns of `obs` hold what; None where nothing does."""

    batch: str | None = None
    label: str | None = None
    condition: str | None = None
    time: str | None = None
    covariates: tuple[str, ...] = ()
    coordinates: str | None = None


class Described(TypedDict):
    """The fields of a `Schema` that describe cells."""

    batch: Categories | None
    label: Categories | None
    condition: Categories | None
    time: str | None
    covariates: tuple[Covariate, ...]


def described(obs: pd.DataFrame, keys: Keys) -> Described:
    """What the columns of `obs` tell a model. Raises `MissingKey`, and `DataError` for a column without a value."""
    if keys.time is not None:
        column_of(obs, keys.time, "time_key")
    return Described(
        batch=_categories(obs, keys.batch, "batch_key"),
        label=_categories(obs, keys.label, "label_key"),
        condition=_categories(obs, keys.condition, "condition_key"),
        time=keys.time,
        covariates=tuple(_covariate(obs, key) for key in keys.covariates),
    )


def keys_in_schema(obs: pd.DataFrame, keys: Keys, schema: Schema) -> Keys:
    """The columns to read for a schema: those that the caller names, else the schema's where `obs` has them.

    Raises `MissingKey` for a named column that is not there, `SchemaMismatch` for one that the model has no use for.
    """

    def chosen(key: str | None, known: str | None, role: str) -> str | None:
        if key is None:
            return known if known in obs else None
        if known is None:
            raise SchemaMismatch(f"{role}={key!r} cannot be used: the model was built without {role}. Leave it out.")
        column_of(obs, key, role)
        return key

    known_covariates = tuple(covariate.key for covariate in schema.covariates)
    for key in keys.covariates:
        chosen(key, key if key in known_covariates else None, "covariate_keys")
    return Keys(
        batch=chosen(keys.batch, schema.batch.key if schema.batch else None, "batch_key"),
        label=chosen(keys.label, schema.label.key if schema.label else None, "label_key"),
        condition=chosen(keys.condition, schema.condition.key if schema.condition else None, "condition_key"),
        time=chosen(keys.time, schema.time, "time_key"),
        covariates=tuple(key for key in known_covariates if key in obs),
        coordinates=keys.coordinates,
    )


def annotate(obs: pd.DataFrame, keys: Keys, schema: Schema, places: np.ndarray | None = None) -> Annotation:
    """The codes of all cells. Without a batch key there is one batch, 0; a column that is absent is unknown to all.

    `places (n_obs, n_coordinates)` are their coordinates.
    """
    blocks = [_covariate_block(obs, covariate, keys) for covariate in schema.covariates]
    return Annotation(
        obs=obs,
        batch=np.zeros(len(obs), np.int64) if schema.batch is None else _codes_of_key(obs, keys.batch, schema.batch),
        label=_codes_of_key(obs, keys.label, schema.label),
        condition=_codes_of_key(obs, keys.condition, schema.condition),
        time=_numbers_of_key(obs, keys.time, "time_key"),
        covariates=np.concatenate([np.zeros((len(obs), 0), np.float32), *blocks], axis=1),
        coordinates=np.zeros((len(obs), 0), np.float32) if places is None else places,
    )


def column_of(obs: pd.DataFrame, key: str, role: str) -> pd.Series:
    """A column of `obs`. Raises `MissingKey`."""
    if key not in obs:
        raise MissingKey.of("obs", key, role, obs.columns)
    return obs[key]


def category_values(column: pd.Series) -> tuple[str, ...]:
    """The values that occur, as text: in the order of a categorical's categories, sorted otherwise."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return tuple(dict.fromkeys(_as_text(column.cat.remove_unused_categories().cat.categories)))
    return tuple(sorted(set(_as_text(column.dropna().unique()))))


def codes_of(column: pd.Series, values: Sequence[str]) -> np.ndarray:
    """Each cell's position in `values`, (n_obs,) int64; -1 where it is missing or not among them."""
    level, levels = pd.factorize(column)
    position = {value: code for code, value in enumerate(values)}
    # the last entry is what the level -1 of a missing value finds
    code_of_level = np.array([*(position.get(text, -1) for text in _as_text(levels)), -1], dtype=np.int64)
    return code_of_level[level]


def numbers_of(column: pd.Series, role: str) -> np.ndarray:
    """A column as numbers, (n_obs,) float32, NaN where missing. Raises `DataError` for text that is not a number."""
    plain = column if is_numeric_dtype(column) else column.astype(object)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = np.isnan(numbers) & column.notna().to_numpy()
    if bad.any():
        raise DataError(
            f"obs[{column.name!r}] ({role}) must hold numbers; it holds {column[bad].iloc[0]!r}. "
            "Add a column with numbers and name that."
        )
    return numbers.astype(np.float32)


def _categories(obs: pd.DataFrame, key: str | None, role: str) -> Categories | None:
    if key is None:
        return None
    values = category_values(column_of(obs, key, role))
    if not values:
        raise DataError(f"obs[{key!r}] ({role}) must have a value for some cell; all are missing. Leave {role} out.")
    return Categories(key=key, values=values)


def _covariate(obs: pd.DataFrame, key: str) -> Covariate:
    column = column_of(obs, key, "covariate_keys")
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return Covariate(key=key)
    categories = _categories(obs, key, "covariate_keys")
    return Covariate(key=key, values=categories and categories.values)


def _codes_of_key(obs: pd.DataFrame, key: str | None, categories: Categories | None) -> np.ndarray:
    if key is None or categories is None:
        return np.full(len(obs), -1, dtype=np.int64)
    return codes_of(obs[key], categories.values)


def _numbers_of_key(obs: pd.DataFrame, key: str | None, role: str) -> np.ndarray:
    return np.full(len(obs), np.nan, dtype=np.float32) if key is None else numbers_of(obs[key], role)


def _covariate_block(obs: pd.DataFrame, covariate: Covariate, keys: Keys) -> np.ndarray:
    """The columns of one covariate, (n_obs, width) float32; zeros where it is unknown."""
    if covariate.key not in keys.covariates:
        return np.zeros((len(obs), covariate.width), dtype=np.float32)
    if covariate.values is None:
        return _finite(numbers_of(obs[covariate.key], "covariate_keys"), obs, covariate.key)[:, None]
    codes = codes_of(obs[covariate.key], covariate.values)
    return (codes[:, None] == np.arange(covariate.width)).astype(np.float32)


def _finite(numbers: np.ndarray, obs: pd.DataFrame, key: str) -> np.ndarray:
    if (bad := ~np.isfinite(numbers)).any():
        raise DataError(
            f"obs[{key!r}] (covariate_keys) must be a number for every cell; it is missing or infinite for {bad.sum()} "
            f"(first: {obs.index[bad][0]!r}). Fill it, or leave these cells out."
        )
    return numbers


def _as_text(values: Iterable[object]) -> list[str]:
    # pandas makes floats of integers that stand beside a missing value; 1.0 and 1 must be one category
    return [str(int(v)) if isinstance(v, float | np.floating) and float(v).is_integer() else str(v) for v in values]
