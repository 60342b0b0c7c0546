"""Flags and options are the same thing twice."""

from typing import Literal, get_args

import pytest
from pydantic import Field

from cellwright.cli.flags import Flags, allowed, with_flags
from cellwright.core.options import Options
from cellwright.data.balance import Smote
from cellwright.errors import OptionError
from cellwright.likelihoods import LIKELIHOODS, AnyLikelihood
from cellwright.likelihoods.gaussian import Gaussian
from cellwright.models import MODELS
from cellwright.train.options import FitOptions


class Example(Options):
    """One option of each kind."""

    plain: str = Field("a", description="text")
    share: float = Field(0.1, ge=0, lt=1, description="bounded")
    positive: int | None = Field(None, gt=0, le=9, description="bounded or None")
    choice: Literal["one", "two"] = Field("one", description="one of")
    names: tuple[str, ...] = Field((), description="several")
    likelihood: AnyLikelihood = Field(Gaussian(), description="an object")


def made(given, **settings):
    return Flags(Example, group="Example", **settings).make(given)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_flag_the_options_are_those_of_the_preset(name):
    entry = MODELS[name]
    assert Flags(entry.options_type, defaults=entry.preset, group="Options").make({}) == entry.options()


def test_each_kind_of_flag_becomes_its_option():
    given = {"plain": "b", "share": 0.5, "positive": 3, "choice": "two", "names": "a, b,", "likelihood": "poisson"}
    expected = Example(plain="b", share=0.5, positive=3, choice="two", names=("a", "b"), likelihood="poisson")
    assert made(given) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"T cell, CD4",NK', ("T cell, CD4", "NK")),
        ('NK, "T cell, CD4"', ("NK", "T cell, CD4")),
        ('CD4\\T,5" cells', ("CD4\\T", '5" cells')),
        ("", ()),
    ],
    ids=["quoted", "after a blank", "other signs", "empty"],
)
def test_a_name_with_a_comma_stands_in_quotes(text, names):
    assert made({"names": text}).names == names
    flag = next(parameter for parameter in Flags(Example, group="Example").parameters() if parameter.name == "names")
    assert """'"A, B",C'""" in get_args(flag.annotation)[1].help


def test_what_is_chosen_by_name_takes_its_settings_with_it():
    flags = Flags(Example, group="Example").parameters()
    flag = next(parameter for parameter in flags if parameter.name == "likelihood")
    assert flag.default == "gaussian"
    kind, parameter = get_args(flag.annotation)
    assert kind is str
    assert parameter.help == f"an object: {', '.join(LIKELIHOODS)}; with settings NAME:option=value:..."
    training = Flags(FitOptions, group="Training").make({"balance": "smote:n_neighbours=3:by=condition"})
    assert training.balance == Smote(n_neighbours=3, by="condition")


def test_numbers_by_modality_are_text_and_their_flag_says_how():
    flags = Flags(MODELS["multimodal_vae"].options_type, group="Options")
    assert flags.make({"modality_weights": "atac=0.1"}).modality_weights == {"atac": 0.1}
    flag = next(parameter for parameter in flags.parameters() if parameter.name == "modality_weights")
    kind, parameter = get_args(flag.annotation)
    assert (kind, flag.default) == (str, "")
    assert parameter.help.endswith("1 where none is given: MODALITY=NUMBER, separated by commas")


def test_a_flag_that_is_given_wins_over_the_default_of_the_command():
    assert made({"share": 0.3}, defaults={"share": 0.2}).share == 0.3
    assert made({}, defaults={"share": 0.2}).share == 0.2


def test_flags_take_what_is_theirs_and_leave_the_rest():
    values = {"share": 0.3, "other": 1}
    made(values)
    assert values == {"other": 1}


def test_optional_flags_make_options_only_if_one_is_given_even_at_its_default():
    assert made({}, optional=True) is None
    assert made({"share": 0.1}, optional=True) == Example()


def test_hidden_options_have_no_flag():
    flags = Flags(Example, group="Example", hidden=("share", "names"))
    assert [parameter.name for parameter in flags.parameters()] == ["plain", "positive", "choice", "likelihood"]


def test_bounds_are_checked_by_the_options():
    with pytest.raises(OptionError, match="share of Example should be less than 1; it is 2"):
        made({"share": 2})


def test_a_command_gets_the_options_of_its_flags_beside_its_own_arguments():
    got = []

    def command(data: str, *, options: Example) -> None:
        got.append((data, options))

    with_flags(command, options=Flags(Example, group="Example"))("cells", share=0.7)
    assert got == [("cells", Example(share=0.7))]


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "plain": "",
        "share": "≥ 0, < 1",
        "positive": "> 0, ≤ 9",
        "choice": "one, two",
        "names": "",
        "likelihood": ", ".join(LIKELIHOODS),
    }.items(),
    ids=list(Example.model_fields),
)
def test_bounds_and_choices_are_said_in_words(name, said):
    assert allowed(Example.model_fields[name]) == said
