"""Columns of obs as codes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.core.schema import Categories, Covariate, Schema
from cellwright.data.annotate import (
    Keys,
    annotate,
    category_values,
    codes_of,
    described,
    keys_in_schema,
    numbers_of,
)
from cellwright.errors import DataError, MissingKey, SchemaMismatch

COLUMNS = {
    "text": (["b", "a", "b", None], ("a", "b"), [1, 0, 1, -1]),
    "integers": ([10, 2, 10, 3], ("10", "2", "3"), [0, 1, 0, 2]),
    "integers beside a missing value": ([1, None, 2, 1], ("1", "2"), [0, -1, 1, 0]),
    "bool": ([True, False, True, True], ("False", "True"), [1, 0, 1, 1]),
    "categorical in its own order": (
        pd.Categorical(["low", "high", None, "low"], categories=["low", "unused", "high"]),
        ("low", "high"),
        [0, 1, -1, 0],
    ),
    "categorical of numbers": (pd.Categorical([2.0, 1.0, 2.0, None]), ("1", "2"), [1, 0, 1, -1]),
    "nullable integers": (pd.array([3, None, 1, 1], dtype="Int64"), ("1", "3"), [1, -1, 0, 0]),
    "pandas strings": (pd.array(["b", None, "a", "a"], dtype="string"), ("a", "b"), [1, -1, 0, 0]),
}


@pytest.mark.parametrize(("column", "values", "codes"), COLUMNS.values(), ids=COLUMNS)
def test_categories_and_codes_of_a_column(column, values, codes):
    column = pd.Series(column)
    assert category_values(column) == values
    np.testing.assert_array_equal(codes_of(column, values), codes)


@given(st.permutations(["x", "y", "y", "z", None, "x"]), st.booleans())
def test_codes_do_not_depend_on_the_order_of_the_cells(cells, categorical):
    column = pd.Series(cells, dtype="category" if categorical else object)
    codes = codes_of(column, category_values(column))
    expected = {"x": 0, "y": 1, "z": 2, None: -1}
    assert list(codes) == [expected[cell] for cell in cells]


def test_a_value_that_is_not_among_the_categories_is_unknown():
    np.testing.assert_array_equal(codes_of(pd.Series(["a", "new", "b"]), ("b", "a")), [1, -1, 0])


def test_numbers_are_read_from_numbers_text_and_categories():
    for column in ([1, 2.5, None], ["1", "2.5", None], pd.Categorical(["1", "2.5", None])):
        np.testing.assert_array_equal(numbers_of(pd.Series(column), "time_key"), np.float32([1, 2.5, np.nan]))


def test_text_that_is_no_number_is_refused_by_value():
    with pytest.raises(DataError, match=r"obs\['day'\] \(time_key\) must hold numbers; it holds 'day 2'"):
        numbers_of(pd.Series(["1", "day 2"], name="day"), "time_key")


OBS = pd.DataFrame(
    {
        "donor": ["d2", "d1", "d1"],
        "cell_type": ["B", None, "T"],
        "age": [30, 40, 50],
        "sex": ["f", "m", None],
        "day": [0.0, 1.0, 2.0],
        "empty": [None, None, None],
    },
    index=["c1", "c2", "c3"],
)
KEYS = Keys(batch="donor", label="cell_type", time="day", covariates=("sex", "age"))


def schema_of(obs: pd.DataFrame, keys: Keys) -> Schema:
    return Schema(features={"X": ("g1",)}, **described(obs, keys))


def test_covariates_are_one_hot_or_one_number_in_the_order_of_the_keys():
    schema = schema_of(OBS, KEYS)
    assert schema.covariates == (Covariate(key="sex", values=("f", "m")), Covariate(key="age"))
    expected = np.float32([[1, 0, 30], [0, 1, 40], [0, 0, 50]])
    np.testing.assert_array_equal(annotate(OBS, KEYS, schema).covariates, expected)


def test_without_keys_there_is_one_batch_and_nothing_else_is_known():
    cells = annotate(OBS, Keys(), schema_of(OBS, Keys()))
    assert list(cells.batch) == [0, 0, 0]
    assert list(cells.label) == list(cells.condition) == [-1, -1, -1]
    assert np.isnan(cells.time).all()
    assert cells.covariates.shape == (3, 0)


def test_columns_that_are_absent_for_a_known_schema_are_unknown():
    schema = schema_of(OBS, KEYS)
    new = OBS[["sex"]]
    cells = annotate(new, keys_in_schema(new, Keys(), schema), schema)
    assert list(cells.batch) == list(cells.label) == [-1, -1, -1]
    np.testing.assert_array_equal(cells.covariates, np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 0]]))


def test_another_column_can_be_named_for_a_known_schema():
    schema = schema_of(OBS, KEYS)
    new = pd.DataFrame({"sample": ["d1", "d9"]}, index=["a", "b"])
    cells = annotate(new, keys_in_schema(new, Keys(batch="sample"), schema), schema)
    assert schema.batch == Categories(key="donor", values=("d1", "d2"))
    assert list(cells.batch) == [0, -1]


@pytest.mark.parametrize("role", ["batch", "label", "condition", "time"])
def test_a_missing_column_is_named_with_its_role(role):
    with pytest.raises(MissingKey, match=rf"obs has no 'donr' \({role}_key\).*Did you mean 'donor'"):
        described(OBS, Keys(**{role: "donr"}))


def test_a_missing_covariate_is_named():
    with pytest.raises(MissingKey, match=r"'agee' \(covariate_keys\)"):
        described(OBS, Keys(covariates=("agee",)))


def test_a_column_without_any_value_is_refused():
    with pytest.raises(DataError, match=r"obs\['empty'\] \(batch_key\) must have a value"):
        described(OBS, Keys(batch="empty"))


def test_a_continuous_covariate_that_is_missing_for_a_cell_is_refused_by_cell():
    obs = OBS.assign(age=[30, np.nan, 50])
    keys = Keys(covariates=("age",))
    with pytest.raises(DataError, match=r"obs\['age'\].*missing or infinite for 1 \(first: 'c2'\)"):
        annotate(obs, keys, schema_of(obs, keys))


@pytest.mark.parametrize("keys", [Keys(label="sex"), Keys(covariates=("age",))], ids=["label", "covariate"])
def test_a_key_that_the_model_has_no_use_for_is_refused(keys):
    with pytest.raises(SchemaMismatch, match="the model was built without"):
        keys_in_schema(OBS, keys, schema_of(OBS, Keys(batch="donor")))
