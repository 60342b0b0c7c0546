"""Options are checked once, with one sentence."""

import pytest
from pydantic import Field

from cellwright.core.options import Options
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
