"""The schema is frozen JSON, and refuses names that could not be matched."""

import pytest
from pydantic import ValidationError

from cellwright.core.schema import Categories, Covariate, Schema
from cellwright.errors import CellwrightError, DataError

FULL = Schema(
    features={"rna": ("a", "b"), "protein": ("p",)},
    batch=Categories(key="donor", values=("1", "2", "3")),
    label=Categories(key="type", values=("B", "T")),
    condition=Categories(key="drug", values=("alum", "none", "zinc")),
    control="none",
    covariates=(Covariate(key="sex", values=("f", "m")), Covariate(key="age")),
)


def test_json_round_trip_gives_an_equal_schema():
    assert Schema.model_validate_json(FULL.model_dump_json()) == FULL


def test_sizes_count_what_is_there():
    assert (FULL.n_vars, FULL.n_batch, FULL.n_labels, FULL.n_covariates) == (2, 3, 2, 3)
    assert (Schema(features={"x": ("a",)}).n_batch, Schema(features={"x": ("a",)}).n_labels) == (1, 0)
    assert (FULL.n_conditions, Schema(features={"x": ("a",)}).n_conditions) == (3, 0)


def test_the_control_is_a_code_of_the_conditions():
    assert FULL.control_code == 1
    assert FULL.model_copy(update={"control": None}).control_code == -1
    assert Schema(features={"x": ("a",)}).control_code == -1


def test_repeated_feature_names_are_refused_with_the_names():
    with pytest.raises(CellwrightError, match=r"unique names; 1 are repeated \(a\).*var_names_make_unique"):
        Schema(features={"x": ("a", "b", "a")})


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        (FULL.condition, "must be a condition of the data: alum, none, zinc; it is 'zin'.*'zinc'.*Give one of them"),
        (None, "must be a condition of the data: they have none; it is 'zin'.*condition_key"),
    ],
    ids=["another condition", "no conditions"],
)
def test_a_control_that_is_no_condition_is_refused_with_the_conditions(condition, sentence):
    with pytest.raises(DataError, match=sentence):
        Schema(features={"x": ("a",)}, condition=condition, control="zin")


def test_a_schema_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        FULL.time = "day"
