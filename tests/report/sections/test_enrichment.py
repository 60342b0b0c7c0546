"""What lies side by side: a symmetric heat map of z, and dots where it could be chance."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.enrichment import SECTION

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "tissue_folder.py"))


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = BUILDER["write_tissue"](tmp_path_factory.mktemp("enrichment") / "study")
    (block,) = SECTION.context(read_contents(folder))["blocks"]
    (view,) = block["figure"].views.values()
    return view["data"][0]


def test_it_is_symmetric_and_in_natural_order(trace):
    # cortex, striatum, white matter
    assert trace["z"] == [[25.0, -12.0, 0.4], [-12.0, 25.0, 0.4], [0.4, 0.4, 25.0]]


def test_pairs_that_could_be_chance_have_a_dot(trace):
    assert trace["text"] == [["", "", "·"], ["", "", "·"], ["·", "·", ""]]


def test_white_is_no_enrichment(trace):
    assert trace["zmin"] == -trace["zmax"] == -25.0


def test_edges_and_their_expectation_are_told(trace):
    assert "115 edges, 90.0 expected" in trace["customdata"][0][0]
    assert "adjusted p 0.7" in trace["customdata"][0][2]


def test_another_study_has_none(tmp_path):
    builder = runpy.run_path(str(Path(__file__).parents[1] / "study_folder.py"))
    assert SECTION.context(read_contents(builder["write_study"](tmp_path / "study"))) is None
