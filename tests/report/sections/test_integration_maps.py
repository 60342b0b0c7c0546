"""Before and after: one figure by batch and one by label, the uncorrected cells at the left of each."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.integration_maps import context

FOLDER = runpy.run_path(str(Path(__file__).parents[1] / "integration_folder.py"))


@pytest.fixture
def study(tmp_path):
    return FOLDER["write_integration"](tmp_path / "study")


def figures(study):
    (block,) = context(read_contents(study))["blocks"]
    return block["figures"]


def test_there_is_a_figure_by_batch_and_below_it_one_by_label(study):
    assert [next(iter(figure.views.values()))["key"] for figure in figures(study)] == ["batch", "label"]


def test_uncorrected_cells_are_at_the_left_of_every_view_and_the_recommended_model_is_first(study):
    for figure in figures(study):
        assert [*figure.views] == ["harmony", "vae", "mmd_vae"]
        for place, view in enumerate(figure.views.values(), start=1):
            assert view["panels"] == [0, place]
            titles = [note["text"] for note in view["layout"]["annotations"]]
            assert titles[0] in ("<b>before, by batch: pca</b>", "<b>before, by label: pca</b>")
            assert titles[1].startswith("<b>after")
        axes = [panel["axes"] for panel in figure.shared["panels"]]
        assert axes == [["x", "y"], ["x2", "y2"], ["x2", "y2"], ["x2", "y2"]]


def test_a_cell_has_the_same_colour_on_both_sides(study):
    by_batch, _ = figures(study)
    before, after = by_batch.shared["panels"][:2]
    names = by_batch.shared["keys"]["batch"]["categories"]
    assert names == ["lane 1", "lane 2"]
    assert len(before["codes"]["batch"]) == len(after["codes"]["batch"]) == 100


def test_without_labels_there_is_the_figure_by_batch(tmp_path):
    assert len(figures(FOLDER["write_integration"](tmp_path / "plain", labels=False))) == 1


def test_without_uncorrected_cells_there_is_nothing_to_set_beside(study):
    (FOLDER["integration_run"](study, "pca") / "cells.h5ad").unlink()
    assert context(read_contents(study)) is None
