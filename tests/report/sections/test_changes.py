"""Heat maps of changing features: a row per feature, in the order of the peaks, whatever their names."""

import runpy
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.changes import SECTION, SHOWN

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "trajectory_folder.py"))


def block_of(folder):
    contents = read_contents(folder)
    context = SECTION.context(contents)
    assert contents.problems == []
    (block,) = context["blocks"]
    return block


def made(tmp_path, **story):
    """The block of a study of one run, which is quicker written."""
    story = {"models": ("vae",), "n_seeds": 1, **story}
    return block_of(BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](**story)))


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return block_of(
        BUILDER["write_trajectory"](tmp_path_factory.mktemp("changes") / "study", BUILDER["Story"](n_seeds=1))
    )


def rows_of(view):
    """The names of the rows from below, as the axis shows them."""
    return view["layout"]["yaxis"]["ticktext"]


def test_there_is_a_view_per_lineage_of_the_best_model(block):
    assert list(block["figure"].views) == ["erythroid", "myeloid"]
    assert block["model"] == "vae"


def test_rows_are_features_the_first_to_peak_on_top(block):
    """Plotly counts rows from below; the planted features peak the earlier the worse their rank."""
    view = block["figure"].views["myeloid"]
    assert rows_of(view) == ["GATA1", "MPO", "CD34", "KLF1"]
    assert np.argmax(view["data"][0]["z"], axis=1).tolist() == sorted(np.argmax(view["data"][0]["z"], axis=1))[::-1]


def test_each_row_is_from_its_own_lowest_to_its_own_highest(block):
    for view in block["figure"].views.values():
        values = np.array(view["data"][0]["z"])
        np.testing.assert_allclose(values.min(axis=1), 0)
        np.testing.assert_allclose(values.max(axis=1), 1)


def test_a_row_says_its_numbers(block):
    said = block["figure"].views["myeloid"]["data"][0]["customdata"]
    assert said[0][0] == (
        "<b>GATA1</b> peaks<br>peak at pseudotime 1.00, size 1.00<br>80% of its variance, adjusted p 1e-08"
    )


def test_of_many_features_the_first_are_shown(tmp_path):
    view = made(tmp_path, features=tuple(f"g{k}" for k in range(SHOWN + 5)))["figure"].views["myeloid"]
    assert sorted(rows_of(view)) == sorted(f"g{k}" for k in range(SHOWN))


def test_names_that_begin_alike_are_rows_and_views_of_their_own(tmp_path):
    """What is cut for the page must not become one."""
    start = "a name that is long and begins alike"
    block = made(tmp_path, fates=(f"{start} 1", f"{start} 2"), features=(f"{start} 1", f"{start} 2", "g", "g"))
    assert len(block["figure"].views) == 2
    for view in block["figure"].views.values():
        heat = view["data"][0]
        assert len(heat["z"]) == len(set(heat["y"])) == len(rows_of(view)) == 4


def test_a_flat_curve_is_drawn(tmp_path):
    folder = BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](n_seeds=1))
    path = BUILDER["trajectory_run"](folder, "vae") / "cells.h5ad"
    cells = ad.read_h5ad(path)
    cells.uns["changes_curves"][0] = 3
    cells.write_h5ad(path)
    assert np.isfinite(block_of(folder)["figure"].views["erythroid"]["data"][0]["z"]).all()


def test_names_are_harmless(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    figure = made(tmp_path, fates=(hostile, "b"), features=(hostile, "b"))["figure"]
    assert "<script>" not in str([view["data"] for view in figure.views.values()])
    assert not any("<script>" in name for view in figure.views.values() for name in rows_of(view))
    assert not any("<script>" in name for name in figure.views)


def test_a_model_without_changes_leaves_it_to_the_next(tmp_path):
    folder = BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](n_seeds=1))
    path = BUILDER["trajectory_run"](folder, "vae") / "cells.h5ad"
    cells = ad.read_h5ad(path)
    del cells.uns["changes"]
    cells.write_h5ad(path)
    assert block_of(folder)["model"] == "pca"


def test_without_changes_there_is_no_section(tmp_path, study):
    folder = BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](changes=False, n_seeds=1))
    assert SECTION.context(read_contents(folder)) is None
    assert SECTION.context(read_contents(study)) is None
