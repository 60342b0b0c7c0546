"""The trajectory on the page: every cell, the curves and arrows on the map, and the tree at its pseudotimes."""

import runpy
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.trajectory import SECTION, _figure, _trajectory

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "trajectory_folder.py"))
N_OBS = BUILDER["N_OBS"]


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
        BUILDER["write_trajectory"](tmp_path_factory.mktemp("trajectory") / "study", BUILDER["Story"](n_seeds=1))
    )


def traces(block, view, axis="x"):
    return [trace for trace in block["figure"].views[view]["data"] if trace["xaxis"] == axis]


def points(block, view):
    return [trace for trace in traces(block, view) if trace["mode"] == "markers"]


def lines(block, view, axis):
    return [trace for trace in traces(block, view, axis) if trace["mode"] == "lines"]


def test_there_is_a_view_per_model_and_colour_the_best_model_first(block):
    assert list(block["figure"].views) == ["vae: pseudotime", "vae: branch", "pca: pseudotime", "pca: branch"]


def test_every_cell_is_a_point_with_its_pseudotime(block):
    (cells,) = points(block, "vae: pseudotime")
    assert len(cells["x"]) == N_OBS
    np.testing.assert_allclose(cells["marker"]["color"], np.linspace(0, 1, N_OBS), atol=1e-4)
    assert cells["text"][0] == "<b>stem cell</b><br>pseudotime 0.000<br>trunk"


def test_every_cell_is_a_point_of_its_branch(block):
    cells = {trace["name"]: len(trace["x"]) for trace in points(block, "vae: branch")}
    assert cells == {"trunk": 36, "erythroid": 27, "myeloid": 27}
    colours = {trace["name"]: trace["marker"]["color"] for trace in points(block, "vae: branch")}
    assert len(set(colours.values())) == 3


def test_each_lineage_has_a_curve_in_its_colour_and_the_walk_its_arrows(block):
    drawn = lines(block, "vae: branch", "x")
    colour = {trace["name"]: trace["marker"]["color"] for trace in points(block, "vae: branch")}
    curves = [trace for trace in drawn if trace["line"]["width"] == 3]
    assert [trace["line"]["color"] for trace in curves] == [colour["erythroid"], colour["myeloid"]]
    assert curves[0]["y"][-1] == pytest.approx(0.6)
    (walk,) = [trace for trace in drawn if trace.get("name") == "walk"]
    assert len(walk["x"]) == 7 * BUILDER["N_POINTS"]
    np.testing.assert_allclose(np.subtract(walk["x"][1::7], walk["x"][0::7]), 0.05, atol=2e-3)


def test_the_tree_has_each_segment_where_it_is_in_pseudotime(block):
    """Thickest is the segment with most cells, and forks stand in the middle of what leaves them."""
    across = [trace for trace in lines(block, "vae: branch", "x2") if trace.get("hoverinfo") != "skip"]
    assert [(trace["x"][0], trace["x"][-1]) for trace in across] == [(0, 0.4), (0.4, 1), (0.4, 1)]
    widths = [trace["line"]["width"] for trace in across]
    assert widths[0] == max(widths) > widths[1]
    heights = [trace["y"][0] for trace in across]
    assert heights == [np.mean(heights[1:]), 0, -1]
    upright = [trace for trace in lines(block, "vae: branch", "x2") if trace.get("hoverinfo") == "skip"]
    assert [trace["x"] for trace in upright] == [[0.4, 0.4], [0.4, 0.4]]
    names = [note["text"] for note in block["figure"].views["vae: branch"]["layout"]["annotations"]]
    assert names[:2] == ["erythroid", "myeloid"]


def test_cells_that_are_not_reached_are_drawn_and_counted(tmp_path):
    block = made(tmp_path, n_unreached=10)
    grey, cells = points(block, "pseudotime")
    assert (grey["name"], len(grey["x"]), len(cells["x"])) == ("not reached", 10, 80)
    assert "10 cells that nothing connects with the root" in block["caption"]
    assert sum(len(trace["x"]) for trace in points(block, "branch")) == N_OBS


def test_a_proposed_root_is_said(tmp_path, block):
    assert "Nobody gave a root" in made(tmp_path, root_is_proposed=True)["caption"]
    assert "Nobody gave a root" not in block["caption"]


def test_without_a_umap_the_latent_is_the_map_and_is_called_so(tmp_path):
    block = made(tmp_path, umap=False)
    titles = [note["text"] for note in block["figure"].views["branch"]["layout"]["annotations"]]
    assert any("vae, latent" in title for title in titles)


def test_without_labels_a_point_says_pseudotime_and_branch(tmp_path):
    (cells,) = points(made(tmp_path, has_labels=False), "pseudotime")
    assert cells["text"][0] == "pseudotime 0.000<br>trunk"


def test_settings_that_begin_alike_are_views_of_their_own(tmp_path):
    contents = read_contents(BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](n_seeds=1)))
    runs = contents.runs
    for position, run in enumerate(runs):
        run.record.notes["setting"] = f"n_hidden=128, n_latent=10, n_layers=2, beta={position}"
    titles = {run.title[:32] for run in runs}
    figures = [_trajectory(run) for run in runs]
    assert len({title.split(" ", 1)[1] for title in titles}) == 1
    assert len(_figure([*figures, *figures[:1]]).views) == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda cells: cells.uns["trajectory"].pop("curves"),
        lambda cells: cells.uns["trajectory"].pop("arrows"),
        lambda cells: cells.uns["trajectory"].update(curves=np.zeros((1, 12, 3))),
        lambda cells: cells.uns["trajectory"].update(arrows=np.zeros((3, 4))),
        lambda cells: cells.uns["trajectory"].pop("fates"),
        lambda cells: cells.uns["trajectory"].pop("root_is_proposed"),
        lambda cells: cells.obs.pop("branch"),
    ],
    ids=[
        "no curves",
        "no arrows",
        "fewer curves",
        "arrows of no length",
        "no fates",
        "no word of the root",
        "no branch",
    ],
)
def test_the_cells_and_the_tree_are_drawn_without_the_rest(tmp_path, damage):
    folder = BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](models=("vae",), n_seeds=1))
    path = BUILDER["trajectory_run"](folder, "vae") / "cells.h5ad"
    cells = ad.read_h5ad(path)
    damage(cells)
    cells.write_h5ad(path)
    block = block_of(folder)
    assert sum(len(trace["x"]) for trace in points(block, "pseudotime")) == N_OBS
    assert sum(len(trace["x"]) for trace in points(block, "branch")) == N_OBS
    assert lines(block, "branch", "x2")


@pytest.mark.parametrize(
    "damage",
    [
        lambda cells: cells.uns["trajectory"].pop("tree"),
        lambda cells: cells.uns["trajectory"].update(tree=cells.uns["trajectory"]["tree"].drop(columns="start")),
        lambda cells: cells.uns["trajectory"].update(tree=cells.uns["trajectory"]["tree"].iloc[:0]),
        lambda cells: cells.obs.pop("pseudotime"),
    ],
    ids=["no tree", "no start", "an empty tree", "no pseudotime"],
)
def test_without_a_tree_or_pseudotime_there_is_no_section(tmp_path, damage):
    folder = BUILDER["write_trajectory"](tmp_path / "study", BUILDER["Story"](models=("vae",), n_seeds=1))
    path = BUILDER["trajectory_run"](folder, "vae") / "cells.h5ad"
    cells = ad.read_h5ad(path)
    damage(cells)
    cells.write_h5ad(path)
    assert SECTION.context(read_contents(folder)) is None


def test_names_are_harmless(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    block = made(tmp_path, fates=(hostile, "b"), labels=(hostile, "b", "c"), cell=hostile)
    shown = str([view["data"] for view in block["figure"].views.values()])
    shown += str([view["layout"]["annotations"] for view in block["figure"].views.values()])
    assert "<script>" not in shown


def test_another_study_has_no_trajectory(study):
    assert SECTION.context(read_contents(study)) is None
