"""The table of states: what followed first, then each model, and nothing where nothing is known."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.state_transitions import context

ROWS = runpy.run_path(str(Path(__file__).parents[1] / "forecast_rows.py"))


@pytest.fixture
def block(study_builder, tmp_path):
    study = ROWS["with_forecasts"](study_builder["write_study"](tmp_path / "study"))
    (block,) = context(read_contents(study))["blocks"]
    return block


def test_models_are_ordered_by_the_moves_that_go_elsewhere(block):
    assert block["sentence"] == "Share of moves that go elsewhere: vae 0.100 and pca 0.167."
    assert list(block["figure"].views) == ["what followed", "vae", "pca"]


def test_a_cell_is_the_share_and_an_unknown_row_is_empty(block):
    of = {name: view["data"][0] for name, view in block["figure"].views.items()}
    assert of["what followed"]["z"] == [[0.4, 0.6], [None, None]]
    assert of["vae"]["z"] == [[0.3, 0.7], [None, None]]
    assert block["figure"].views["vae"]["layout"]["yaxis"]["ticktext"] == ["early (7)", "late (0)"]


def test_a_study_without_transitions_has_no_such_section(study):
    assert context(read_contents(study)) is None
