"""`cellwright describe`: options with bounds, and papers, of every model."""

import pytest

from cellwright.cli.describe import citation, unfolded
from cellwright.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_every_option_stands_on_a_line_with_its_meaning(cellwright, name):
    lines = cellwright("describe", name).out.splitlines()
    for option, field in MODELS[name].options_type.model_fields.items():
        line = next(line for line in lines if line.split()[:1] == ["--" + option.replace("_", "-")])
        assert line.rstrip().endswith(field.description)


def test_defaults_are_those_of_the_preset_with_their_bounds(cellwright):
    lines = [" ".join(line.split()) for line in cellwright("describe", "dae").out.splitlines()]
    assert "--corruption mask none, mask, noise what the input suffers in training" in lines
    assert "--dropout 0.0 ≥ 0, < 1 dropout rate in the encoder" in lines


def test_the_papers_of_a_model_are_cited_in_full(cellwright):
    assert citation("Lopez18").startswith("[Lopez18] Romain Lopez, ")
    assert citation("Lopez18") in cellwright("describe", "vae").out.splitlines()


def test_a_paper_that_the_bibliography_lacks_is_its_key():
    assert citation("Nobody00") == "[Nobody00]"


def test_paragraphs_become_lines_and_what_is_indented_stays():
    assert unfolded("One\ntwo.\n\n    a -> b\n    c\n\nThree.\n") == "One two.\n\n    a -> b\n    c\n\nThree."
