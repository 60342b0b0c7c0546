import dataclasses

import plotly.graph_objects as go

from cellwright.report.contents import read_contents
from cellwright.report.sections.markers import DOTS, context


def test_the_table_lists_the_features_of_a_cluster_by_rank(study):
    contents = read_contents(study)
    table = contents.shown("pbmc")["vae"].cells.markers
    block = context(contents)["blocks"][0]
    for cluster in block["clusters"]:
        rows = table[table["cluster"] == cluster["name"]].sort_values("rank")
        assert cluster["features"] == list(rows["feature"])
        assert [cells[0]["value"] for _, cells in cluster["rows"]] == list(rows["log2_fold_change"])


def test_the_markers_are_those_of_the_best_model_that_has_some(study):
    contents = read_contents(study)
    best = contents.shown("pbmc")["vae"]
    best.cells = dataclasses.replace(best.cells, markers=None)
    assert context(contents)["blocks"][0]["model"] == "gnn"


def test_every_cluster_has_its_first_features_in_the_dot_plot(study):
    contents = read_contents(study)
    table = contents.shown("pbmc")["vae"].cells.markers
    layout = context(contents)["blocks"][0]["figure"].views[""]["layout"]
    assert set(table.loc[table["rank"] <= DOTS, "feature"]) == set(layout["xaxis"]["ticktext"])


def test_a_dot_is_the_row_of_its_feature_and_cluster(study):
    contents = read_contents(study)
    table = contents.shown("pbmc")["vae"].cells.markers.set_index(["feature", "cluster"])
    view = context(contents)["blocks"][0]["figure"].views[""]
    trace, features = view["data"][0], view["layout"]["xaxis"]["ticktext"]
    for x, y, colour, fraction in zip(
        trace["x"], trace["y"], trace["marker"]["color"], trace["customdata"], strict=True
    ):
        row = table.loc[features[x], str(y)]
        assert (colour, fraction) == (round(row["log2_fold_change"], 3), round(row["fraction_in"], 3))


def test_without_numbers_the_names_are_listed_without_a_figure(study):
    contents = read_contents(study)
    for run in contents.runs:
        bare = run.cells and dataclasses.replace(run.cells, markers=run.cells.markers[["cluster", "feature"]])
        run.cells = bare
    block = context(contents)["blocks"][0]
    assert block["figure"] is None
    assert block["clusters"][0]["features"][:2] == ["GENE0", "GENE1"]


def test_the_figure_is_plotlys(study):
    go.Figure(context(read_contents(study))["blocks"][0]["figure"].views[""])
