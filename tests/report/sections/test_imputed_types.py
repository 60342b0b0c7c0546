import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.imputed_types import LEAST_SCALE, context


@pytest.fixture
def view(recovery):
    return context(read_contents(recovery))


def grid_of(view, name):
    trace, look = view["figure"].views[name]["data"][0], view["figure"].views[name]["layout"]
    return {
        (row, column): (z, text)
        for row, values, texts in zip(look["yaxis"]["ticktext"], trace["z"], trace["text"], strict=True)
        for column, z, text in zip(look["xaxis"]["ticktext"], values, texts, strict=True)
    }


def test_types_stand_by_size_with_their_numbers_of_cells(view):
    for shown in view["figure"].views.values():
        assert shown["layout"]["yaxis"]["ticktext"] == ["T cell (30)", "B cell (20)", "rare (4)"]


def test_networks_stand_first_and_the_reference_is_not_held_against_itself(view):
    columns = {name: shown["layout"]["xaxis"]["ticktext"] for name, shown in view["figure"].views.items()}
    assert columns == {
        "Hidden molecules": ["vae", "magic", "as_measured"],
        "Clusters": ["vae", "knn_gamma", "magic"],
    }


def test_a_deviance_is_told_in_per_cent_of_the_best_baselines_and_less_is_better(view):
    z, text = grid_of(view, "Hidden molecules")["rare (4)", "vae"]
    assert (z, text) == (pytest.approx(0.1 / 3, abs=1e-5), "−3.3")
    z, text = grid_of(view, "Hidden molecules")["rare (4)", "as_measured"]
    assert (z, text) == (pytest.approx(-2 / 3, abs=1e-5), "+67")


def test_a_type_that_is_dissolved_falls_against_the_measured_values(view):
    cells = grid_of(view, "Clusters")
    assert cells["rare (4)", "vae"] == (pytest.approx(-0.3), "−.30")
    assert cells["T cell (30)", "vae"] == (pytest.approx(0.3), "+.30")


def test_sentences_name_the_type_that_gains_and_the_one_that_loses(view):
    assert view["sentences"][1] == (
        "vae against as_measured: a better fit of the best cluster (F1) in 2 of 3 types; most gained in T cell "
        "(30 cells, 0.50 to 0.80), most lost in rare (4 cells, 0.50 to 0.20)."
    )
    assert "in 3 of 3 types" in view["sentences"][0]
    assert "least gained in" in view["sentences"][0]


def test_a_network_that_is_worse_everywhere_gains_nowhere(recovery):
    contents = read_contents(recovery)
    board = contents.leaderboard
    board.loc[(board["model"] == "vae") & (board["group"] != ""), "mean"] += 50.0
    said = context(contents)["sentences"][0]
    assert "in 0 of 3 types; least lost in rare" in said
    assert "most lost in T cell" in said


def test_weak_baselines_do_not_pale_the_networks(view):
    trace = view["figure"].views["Hidden molecules"]["data"][0]
    assert (trace["zmin"], trace["zmax"]) == (-LEAST_SCALE, LEAST_SCALE)


def test_without_labels_there_is_no_section(recovery_builder, tmp_path):
    story = recovery_builder["Story"](types=())
    assert context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story))) is None


def test_without_the_measured_values_the_clusters_are_not_compared(recovery_builder, tmp_path):
    story = recovery_builder["Story"](failed="as_measured")
    view = context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story)))
    assert list(view["figure"].views) == ["Hidden molecules"]
    assert not view["has_clusters"]


def test_without_a_network_nothing_is_said_of_one(recovery_builder, tmp_path):
    story = recovery_builder["Story"](failed="vae")
    view = context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story)))
    assert view["sentences"] == []


def test_a_missing_score_is_an_empty_cell(recovery):
    contents = read_contents(recovery)
    board = contents.leaderboard
    contents.leaderboard = board[~((board["model"] == "magic") & (board["group"] == "rare"))]
    assert grid_of(context(contents), "Hidden molecules")["rare (4)", "magic"] == (None, "")


def test_names_of_types_are_escaped(recovery_builder, tmp_path):
    story = recovery_builder["Story"](types=("<b>T</b>", "nan", "1e5"))
    view = context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story)))
    shown = view["figure"].views["Clusters"]
    assert shown["layout"]["yaxis"]["ticktext"] == ["&lt;b&gt;T&lt;/b&gt; (30)", "nan (20)", "1e5 (4)"]
    assert "<b>T" not in shown["data"][0]["customdata"][0][0]
