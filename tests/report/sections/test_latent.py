import dataclasses

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellwright.report.contents import read_contents
from cellwright.report.sections.latent import MOST_CATEGORIES, MOST_CELLS, OTHER, colour_scale, context, drawn_rows


def figure(contents):
    return context(contents)["figures"][0]["figure"]


def test_every_cell_is_drawn_up_to_the_limit_and_a_fixed_sample_beyond():
    assert np.array_equal(drawn_rows(700), np.arange(700))
    many = drawn_rows(50_000)
    assert len(np.unique(many)) == MOST_CELLS
    assert np.array_equal(many, np.sort(many))
    assert np.array_equal(many, drawn_rows(50_000))


def test_panels_stand_in_the_order_of_the_leaderboard_with_their_own_coordinates(study):
    contents = read_contents(study)
    panels = figure(contents).shared["panels"]
    shown = contents.shown("pbmc")
    for panel, title in zip(panels, ["vae", "gnn", "pca", "ae"], strict=True):
        assert np.allclose(panel["x"], shown[title].cells.map.coordinates[:, 0], atol=5e-4)


def test_codes_name_each_cells_category(study):
    contents = read_contents(study)
    shared = figure(contents).shared
    names = [shared["keys"]["label"]["categories"][code] for code in shared["panels"][0]["codes"]["label"]]
    assert names == list(contents.shown("pbmc")["vae"].cells.obs["cell_type"])


def test_a_category_has_one_colour_on_all_maps():
    one, two = pd.Series(["b", "a", None]), pd.Series(["c", "b"])
    assert list(colour_scale([one, two])) == ["a", "b", "c"]


def test_the_rarest_of_many_categories_are_drawn_as_others():
    names = [str(i) for i in range(MOST_CATEGORIES + 5) for _ in range(i + 1)]
    scale = colour_scale([pd.Series(names)])
    assert len(scale) == MOST_CATEGORIES
    assert OTHER in scale
    assert "0" not in scale
    assert str(MOST_CATEGORIES + 4) in scale


def test_cells_without_a_category_have_no_code(study):
    contents = read_contents(study)
    run = contents.shown("pbmc")["vae"]
    obs = run.cells.obs.assign(cell_type=pd.Categorical([None] * 10 + ["B cell"] * 690))
    run.cells = dataclasses.replace(run.cells, obs=obs)
    assert figure(contents).shared["panels"][0]["codes"]["label"][:10] == [-1] * 10


def test_without_labels_clusters_and_batches_cells_are_drawn_in_one_colour(study):
    contents = read_contents(study)
    for run in contents.runs:
        run.cells = run.cells and dataclasses.replace(run.cells, obs=run.cells.obs[["split"]])
    assert list(figure(contents).views) == ["by cell"]


def test_the_caption_says_where_there_is_no_umap(study):
    assert "For gnn there is no UMAP" in context(read_contents(study))["figures"][0]["caption"]


def test_layouts_are_plotlys(study):
    for view in figure(read_contents(study)).views.values():
        go.Figure(layout=view["layout"])
