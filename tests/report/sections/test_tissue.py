"""Domains in the tissue: each section a row, labels beside domains, colours matched, a unit across as long as down."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.tissue import SECTION, matched

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "tissue_folder.py"))


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    return figure_of(BUILDER["write_tissue"](tmp_path_factory.mktemp("tissue") / "study"))


def figure_of(folder):
    contents = read_contents(folder)
    context = SECTION.context(contents)
    assert contents.problems == []
    (block,) = context["blocks"]
    return block["figure"]


def test_domains_are_matched_to_the_labels_that_they_share_most_cells_with():
    labels = pd.Series(["a", "a", "a", "b", "b", None])
    domains = pd.Series(["0", "0", "1", "1", "1", "0"])
    assert matched(labels, domains) == {"0": "a", "1": "b"}


def test_a_label_has_one_domain_at_most():
    labels = pd.Series(["a"] * 10 + ["b"])
    domains = pd.Series(["0"] * 6 + ["1"] * 5)
    assert matched(labels, domains) == {"0": "a", "1": "b"}


def test_there_is_a_view_per_model_best_first(figure):
    assert list(figure.views) == ["spatial_gae", "pca_smoothed", "pca"]


def test_each_section_has_labels_domains_and_refined_domains_of_its_cells_alone(figure):
    for view in figure.views.values():
        panels = [figure.shared["panels"][at] for at in view["panels"]]
        assert [panel["key"] for panel in panels] == ["label", "domain", "refined"] * 2
        assert all(len(panel["x"]) == 144 for panel in panels)
        titles = [note["text"] for note in view["layout"]["annotations"]]
        assert titles[0] == "<b>A1: labels</b>"
        assert titles[4] == "<b>B1: domains</b>"


def test_every_axis_has_equal_units_and_the_first_row_on_top(figure):
    look = next(iter(figure.views.values()))["layout"]
    vertical = [value for name, value in look.items() if name.startswith("yaxis")]
    assert len(vertical) == 6
    assert all(axis["scaleratio"] == 1 and axis["scaleanchor"].startswith("x") for axis in vertical)
    assert all(axis["autorange"] == "reversed" for axis in vertical)


def test_a_domain_has_the_colour_of_its_label(figure):
    """The refined domains are the regions under other names, so their codes are those of the labels."""
    panels = [figure.shared["panels"][at] for at in figure.views["spatial_gae"]["panels"]]
    label, refined = panels[3]["codes"]["label"], panels[5]["codes"]["refined"]
    assert label == refined


def test_a_label_that_says_that_there_is_none_has_no_colour(figure):
    first = figure.shared["panels"][0]
    assert first["codes"]["label"][:4] == [-1] * 4
    assert "unlabelled" not in figure.shared["keys"]["label"]["categories"]


def test_a_domain_beyond_the_labels_has_a_colour_of_its_own(figure):
    assert figure.shared["keys"]["label"]["categories"] == ["cortex", "striatum", "white matter", "no label 1"]
    assert max(figure.shared["panels"][1]["codes"]["domain"]) == 3


def test_without_labels_domains_stand_alone(tmp_path):
    figure = figure_of(BUILDER["write_tissue"](tmp_path / "study", BUILDER["Story"](has_labels=False)))
    panels = [figure.shared["panels"][at] for at in figure.views["pca"]["panels"]]
    assert [panel["key"] for panel in panels] == ["domain", "refined"] * 2


def test_names_are_harmless(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    story = BUILDER["Story"](regions=(hostile, "b", "c"), sections=(hostile, "B1"), cell=hostile)
    figure = figure_of(BUILDER["write_tissue"](tmp_path / "study", story))
    titles = [note["text"] for note in figure.views["pca"]["layout"]["annotations"]]
    assert not any("<script>" in title for title in titles)


def test_another_study_has_no_tissue(tmp_path):
    builder = runpy.run_path(str(Path(__file__).parents[1] / "study_folder.py"))
    assert SECTION.context(read_contents(builder["write_study"](tmp_path / "study"))) is None
