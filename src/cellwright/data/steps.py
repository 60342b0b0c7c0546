"""Steps: columns of `var` that make sequences of features.

    var, keys -steps_of-> Steps: of each feature its sequence, its time and its quantity

Rows of such data are sequences: a gene over time points, a lineage over windows of pseudotime, a cell over ranks.
Features at one place (sequence, time and quantity) are replicates: what reads them takes the mean of those measured.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from cellwright.core.schema import Schema, Steps
from cellwright.data.annotate import category_values, codes_of
from cellwright.errors import DataError, MissingKey, SchemaMismatch


@dataclass(frozen=True)
class StepKeys:
    """Which columns of `var` hold what; None where nothing does."""

    step: str | None = None
    sequence: str | None = None
    quantity: str | None = None

    def refuse_beside(self, schema: Schema) -> None:
        """New cells take the steps of the schema. Raises `SchemaMismatch` for keys that say otherwise."""
        known = {} if schema.steps is None else schema.steps.keys
        for role, key in vars(self).items():
            if key is not None and known.get(role) != key:
                raise SchemaMismatch(
                    f"{role}_key={key!r} cannot be used: the model was built with {role}_key={known.get(role)!r}. "
                    "Leave it out."
                )


def steps_of(var: pd.DataFrame, keys: StepKeys) -> Steps | None:
    """The steps that the columns describe; None without a step key.

    Warns of features at one place, which count as replicates. Raises `MissingKey`; `DataError` for a step that is no
    number, a category that is missing, or a sequence or quantity without steps.
    """
    if keys.step is None:
        if keys.sequence or keys.quantity:
            raise DataError("sequence_key and quantity_key must come with a step_key, which orders a row. Give it.")
        return None
    time = _times(_column(var, keys.step, "step_key"))
    sequences, sequence_of = _categories(var, keys.sequence, "sequence_key")
    quantities, quantity_of = _categories(var, keys.quantity, "quantity_key")
    places = pd.DataFrame({"sequence": sequence_of, "step": time, "quantity": quantity_of})
    if (twice := places.duplicated()).any():
        warnings.warn(
            f"{twice.sum()} of {len(var)} features have the place of another in their sequence "
            f"({var.index[twice][0]!r} is the first) and count as replicates of it; give sequence_key or quantity_key "
            "if something else tells them apart.",
            UserWarning,
            stacklevel=3,
        )
    return Steps(
        keys={role: key for role, key in vars(keys).items() if key is not None},
        sequences=sequences,
        quantities=quantities,
        sequence_of=tuple(map(int, sequence_of)),
        time_of=tuple(map(float, time)),
        quantity_of=tuple(map(int, quantity_of)),
    )


def described_steps(steps: Steps | None) -> dict[str, np.ndarray]:
    """The columns of `var` from which `steps_of` makes these steps again."""
    if steps is None:
        return {}
    values = {
        "step": np.array(steps.time_of),
        "sequence": np.array(steps.sequences)[list(steps.sequence_of)],
        "quantity": np.array(steps.quantities)[list(steps.quantity_of)],
    }
    return {key: values[role] for role, key in steps.keys.items()}


def _column(var: pd.DataFrame, key: str, role: str) -> pd.Series:
    if key not in var:
        raise MissingKey.of("var", key, role, var.columns)
    return var[key]


def _times(column: pd.Series) -> np.ndarray:
    numbers = column if is_numeric_dtype(column) else pd.to_numeric(column.astype(object), errors="coerce")
    times = numbers.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(times).all():
        bad = column[~np.isfinite(times)]
        raise DataError(
            f"var[{column.name!r}] (step_key) must be a number for every feature; for {bad.index[0]!r} it is "
            f"{str(bad.iloc[0])!r}. Leave such features out."
        )
    return times


def _categories(var: pd.DataFrame, key: str | None, role: str) -> tuple[tuple[str, ...], np.ndarray]:
    if key is None:
        return ("",), np.zeros(len(var), np.int64)
    column = _column(var, key, role)
    values = category_values(column)
    codes = codes_of(column, values)
    if (codes < 0).any():
        raise DataError(
            f"var[{key!r}] ({role}) must have a value for every feature; {(codes < 0).sum()} have none. Fill it."
        )
    return values, codes
