"""Options are checked once, with one sentence."""

from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field

from cellwright.core.options import Options, chosen_from, chosen_per_name, name_and_settings, number_per_name
from cellwright.errors import OptionError


class Size(Options):
    n_latent: int = Field(10, ge=1, description="width")
    rate: float = Field(0.1, ge=0, lt=1, description="rate")


def test_an_unknown_option_is_refused_with_the_nearest_name():
    sentence = r"Size has no option 'n_latnt'; it has n_latent, rate\. Did you mean 'n_latent'\?"
    with pytest.raises(OptionError, match=sentence):
        Size(n_latnt=3)


def test_a_value_out_of_bounds_is_refused_with_option_bound_and_value():
    with pytest.raises(OptionError, match=r"n_latent of Size should be greater than or equal to 1; it is 0\."):
        Size(n_latent=0)


def test_a_value_of_another_type_is_refused():
    with pytest.raises(OptionError, match=r"rate of Size should be a valid number.*it is 'much'"):
        Size(rate="much")


def test_json_round_trip_gives_equal_options():
    options = Size(n_latent=3, rate=0.5)
    assert Size(**options.model_dump(mode="json")) == options


class Small(Options):
    name: Literal["small"] = "small"
    n: int = Field(1, ge=1)
    kind: str = "a"


class Large(Options):
    name: Literal["large"] = "large"


choose = chosen_from({"small": Small, "large": Large}, "size")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("large", Large()),
        ("small:n=3:kind=b=c", Small(n=3, kind="b=c")),
        ({"name": "small", "n": 3}, Small(n=3)),
        (Small(n=2), Small(n=2)),
    ],
    ids=["name", "name with settings", "dict", "options"],
)
def test_a_choice_is_made_by_name_by_text_by_dict_or_by_itself(given, made):
    assert choose(given) == made


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("smal", r"size must be one of small, large; it is 'smal'\. Did you mean 'small'"),
        (3, "size must be one of small, large; it is 3"),
        ({"n": 3}, "size must be one of small, large"),
        ("small:n=0", "n of Small should be greater than or equal to 1; it is 0"),
        ("small:m=1", "Small has no option 'm'"),
        ("small:name=large", "name of Small should be 'small'; it is 'large'"),
        ("small:3", "a setting of 'small' must be option=value; it is '3'. Write small:option=value"),
    ],
    ids=["name", "number", "dict without a name", "bounds", "option", "another name", "no equals sign"],
)
def test_a_choice_that_cannot_be_made_is_refused(given, sentence):
    with pytest.raises(OptionError, match=sentence):
        choose(given)


def test_settings_are_json_where_they_can_be_and_else_text():
    text = " pca:n=20:share=0.5:scale=false:size=null:transform=none:path=a=b "
    settings = {"n": 20, "share": 0.5, "scale": False, "size": None, "transform": "none", "path": "a=b"}
    assert name_and_settings(text) == ("pca", settings)
    nested = 'vae:likelihood={"name": "gaussian", "variance": "feature"}:n=3'
    assert name_and_settings(nested) == ("vae", {"likelihood": {"name": "gaussian", "variance": "feature"}, "n": 3})


choose_each = chosen_per_name({"small": Small, "large": Large}, "size")


@pytest.mark.parametrize(
    "given",
    [
        "rna=small:n=3, protein=large",
        {"rna": "small:n=3", "protein": {"name": "large"}},
        {"rna": Small(n=3), "protein": Large()},
    ],
    ids=["text", "dict", "options"],
)
def test_a_choice_per_name_is_made_like_each_choice(given):
    assert choose_each(given) == {"rna": Small(n=3), "protein": Large()}
    assert choose_each("") == {}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("rna", "size must be name=size, separated by commas; got 'rna'"),
        ({"rna": "smal"}, "size must be one of small, large; it is 'smal'"),
        (["small"], r"size must be given by name, such as \{'rna': 'small'\}; it is \['small'\]"),
    ],
    ids=["no name", "no such choice", "list"],
)
def test_a_choice_per_name_that_cannot_be_made_is_refused(given, sentence):
    with pytest.raises(OptionError, match=sentence):
        choose_each(given)


class Weighted(Options):
    weights: Annotated[dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(number_per_name("weight"))] = Field({})


@pytest.mark.parametrize("given", ["rna=2, protein=.5,", {"rna": 2, "protein": "0.5"}], ids=["text", "dict"])
def test_numbers_by_name_are_text_or_a_dict(given):
    options = Weighted(weights=given)
    assert options.weights == {"rna": 2.0, "protein": 0.5}
    assert Weighted(**options.model_dump(mode="json")) == options
    assert Weighted(weights="") == Weighted()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("rna", "weight must be name=weight, separated by commas; got 'rna'"),
        ("rna=0", r"weights.rna of Weighted should be greater than 0; it is '0'"),
        ("rna=much", r"weights.rna of Weighted should be a valid number, .*; it is 'much'"),
        (0.5, r"weights of Weighted should be a valid dictionary; it is 0\.5"),
    ],
    ids=["no name", "out of bounds", "no number", "no name at all"],
)
def test_numbers_by_name_that_are_none_are_refused(given, sentence):
    with pytest.raises(OptionError, match=sentence):
        Weighted(weights=given)
