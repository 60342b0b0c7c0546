import math

import pandas as pd
import plotly.graph_objects as go

from cellwright.report.contents import read_contents
from cellwright.report.sections.per_type import Grid, context, hardest


def test_the_heat_map_holds_the_leaderboards_means(study):
    contents = read_contents(study)
    view = next(iter(context(contents)["blocks"][0]["figure"].views.values()))
    trace, layout = view["data"][0], view["layout"]
    rows = contents.leaderboard[contents.leaderboard["metric"] == "label_f1"]
    for model, values in zip(layout["yaxis"]["ticktext"], trace["z"], strict=True):
        for group, value in zip(layout["xaxis"]["ticktext"], values, strict=True):
            found = rows[(rows["model"] == model) & (rows["group"] == group.rsplit(" (", 1)[0])]
            assert value == round(found["mean"].item(), 4)


def test_groups_stand_by_size(study, study_builder):
    view = next(iter(context(read_contents(study))["blocks"][0]["figure"].views.values()))
    named = zip(study_builder["Names"]().labels, study_builder["SIZES"], strict=True)
    assert view["layout"]["xaxis"]["ticktext"] == [f"{label} ({n})" for label, n in named]


def test_models_stand_in_the_order_of_the_leaderboard(study):
    view = next(iter(context(read_contents(study))["blocks"][0]["figure"].views.values()))
    assert view["layout"]["yaxis"]["ticktext"] == ["vae", "gnn", "pca", "ae"]


def grid(better, values):
    return Grid(
        "rmse", better, ["a", "b"], ["T", "B"], {"B": 15}, pd.DataFrame(values, index=["a", "b"], columns=["T", "B"])
    )


def test_the_hardest_group_follows_the_direction_of_the_metric():
    values = [[1.0, 3.0], [2.0, 5.0]]
    assert (
        hardest(grid("lower", values))
        == "Hardest is B (15 cells): mean root mean squared error 4.00, best by a (3.00)."
    )
    assert hardest(grid("higher", values)) == "Hardest is T: mean root mean squared error 1.50, best by b (2.00)."


def test_a_missing_score_is_left_out():
    assert "4.00" in hardest(grid("lower", [[1.0, math.nan], [2.0, 4.0]]))


def test_figures_are_plotlys(study):
    for block in context(read_contents(study))["blocks"]:
        for view in block["figure"].views.values():
            go.Figure(view)


def test_without_groups_there_is_no_section(study):
    contents = read_contents(study)
    contents.leaderboard = contents.leaderboard[contents.leaderboard["group"] == ""]
    assert context(contents) is None
