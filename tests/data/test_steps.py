"""Columns of var become sequences, and missing values stay missing wherever they lie."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.prepare import as_anndata
from cellwright.data.source import in_order
from cellwright.data.steps import StepKeys, described_steps, steps_of
from cellwright.errors import DataError, MissingKey, SchemaMismatch

KEYS = StepKeys("time", "experiment", "what")
VAR = pd.DataFrame(
    {
        "time": [10, 0, 0, 5, 5],
        "experiment": ["cold", "cold", "heat", "heat", "heat"],
        "what": ["rna", "rna", "rna", "rna", "protein"],
    },
    index=list("abcde"),
)


def values():
    matrix = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    matrix[3, 2], matrix[7, 0], matrix[:, 4] = np.nan, 0.0, np.nan
    return matrix


def cells(form=np.asarray):
    return AnnData(form(values()), obs=pd.DataFrame(index=[f"g{i}" for i in range(40)]), var=VAR)


def opened(data, **how):
    return open_data(data, step_key="time", sequence_key="experiment", quantity_key="what", **how)


def test_each_feature_gets_its_sequence_its_time_and_its_quantity():
    steps = steps_of(VAR, KEYS)
    assert (steps.sequences, steps.quantities) == (("cold", "heat"), ("protein", "rna"))
    assert steps.sequence_of == (0, 0, 1, 1, 1)
    assert steps.time_of == (10, 0, 0, 5, 5)
    assert steps.quantity_of == (1, 1, 1, 1, 0)


def test_the_steps_describe_the_columns_that_they_came_from():
    steps = steps_of(VAR, KEYS)
    assert steps_of(pd.DataFrame(described_steps(steps), index=VAR.index), KEYS) == steps


def test_a_text_of_numbers_is_a_time():
    assert steps_of(VAR.astype({"time": str}), KEYS).time_of == (10, 0, 0, 5, 5)


def test_features_at_one_place_are_replicates_and_are_told_of():
    with pytest.warns(UserWarning, match=r"1 of 5 features have the place of another.*\('e' is the first\)"):
        steps = steps_of(VAR, StepKeys("time", "experiment"))
    assert steps.time_of == (10, 0, 0, 5, 5)


@pytest.mark.parametrize(
    ("change", "keys", "error", "sentence"),
    [
        ({}, StepKeys("age"), MissingKey, "var has no 'age'"),
        ({}, StepKeys(None, "experiment"), DataError, "must come with a step_key"),
        ({"time": [0, 1, np.nan, 3, 4]}, KEYS, DataError, "must be a number for every feature; for 'c' it is 'nan'"),
        ({"time": ["0", "late", "1", "2", "3"]}, KEYS, DataError, "for 'b' it is 'late'"),
        ({"experiment": ["x", None, "x", "x", "y"]}, KEYS, DataError, "must have a value for every feature; 1 have"),
    ],
    ids=["no column", "no step key", "nan", "text", "no sequence"],
)
def test_what_is_no_step_is_refused(change, keys, error, sentence):
    with pytest.raises(error, match=sentence):
        steps_of(VAR.assign(**change), keys)


FORMS = pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])


@FORMS
@pytest.mark.parametrize("how", ["anndata", "memory", "disk", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding")
def test_missing_values_stay_missing_and_zeros_stay_zeros(form, how, tmp_path):
    data = cells(form)
    if how == "zarr":
        data.write_zarr(tmp_path / "cells.zarr")
        data = tmp_path / "cells.zarr"
    elif how != "anndata":
        data.write_h5ad(tmp_path / "cells.h5ad")
        data = tmp_path / "cells.h5ad"
    source = opened(data, in_memory={"anndata": None, "memory": True}.get(how, False))
    minibatch = next(iter(in_order(source)))
    np.testing.assert_array_equal(minibatch.x.dense().numpy(), values())
    np.testing.assert_array_equal(sparse.csr_matrix(as_anndata(source).X).toarray(), values())


@FORMS
def test_steps_that_new_data_lack_are_missing(form):
    schema = opened(cells()).schema
    new = cells(form)[:, ["e", "a", "b", "c"]].copy()
    source = open_data(new, schema=schema)
    found = next(iter(in_order(source))).x.dense().numpy()
    expected = values()
    expected[:, 3] = np.nan
    np.testing.assert_array_equal(found, expected)
    assert source.filled_features == ("d",)


def test_new_cells_take_the_steps_of_the_schema():
    schema = opened(cells()).schema
    assert opened(cells(), schema=schema).schema.steps == schema.steps
    with pytest.raises(SchemaMismatch, match="step_key='age' cannot be used: the model was built with step_key='time'"):
        open_data(cells(), schema=schema, step_key="age")
