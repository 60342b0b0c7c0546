import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.remedies import context

UNDER, OVER = ("under", "training"), ("over", "shift")


@pytest.fixture
def shown(responses_builder, tmp_path):
    def show(**story):
        folder = responses_builder["write_responses"](tmp_path / "study", responses_builder["Story"](**story))
        return context(read_contents(folder))

    return show


def heat(view, measure="R2 of means"):
    return view["figure"].views[measure]["data"][0]


def test_without_remedies_there_is_no_section(shown):
    assert shown() is None


def test_a_cell_is_the_difference_of_a_remedy_in_a_type_and_the_last_column_all_types(shown):
    view = shown(effects={UNDER: (0.02, 0.01), OVER: (-0.01, 0.3)}, by_type={("NK", *UNDER): (0.05, 0.02)})
    assert heat(view)["z"] == [[0.02, 0.05, 0.02], [-0.01, -0.01, -0.01]]
    axes = view["figure"].views["R2 of means"]["layout"]
    assert axes["xaxis"]["ticktext"] == ["CD4T", "NK", "<b>all types</b>"]
    assert axes["yaxis"]["ticktext"] == ["under in training", "over in shift"]


def test_a_star_stands_where_a_difference_is_beyond_chance(shown):
    view = shown(effects={UNDER: (0.02, 0.01), OVER: (-0.01, 0.3)}, by_type={("NK", *UNDER): (0.05, 0.02)})
    assert heat(view)["text"] == [["+0.020", "+0.050 *", "+0.020 *"], ["−0.010", "−0.010", "−0.010"]]


def test_blue_is_better_where_lower_is(shown):
    trace = heat(shown(effects={UNDER: (0.02, 0.01)}), "E-distance")
    assert trace["z"] == [[None, None, 0.02]]
    assert trace["text"] == [["", "", "−0.020"]]


def test_the_colours_are_as_far_on_either_side_of_none(shown):
    trace = heat(shown(effects={UNDER: (0.02, 0.01), OVER: (-0.05, 0.3)}))
    assert (trace["zmin"], trace["zmax"]) == (-0.05, 0.05)


def test_the_table_has_the_tests_best_first(shown):
    view = shown(effects={OVER: (-0.01, 0.02), UNDER: (0.02, 0.01)}, spreads={UNDER: (0.003, 0.4)})
    first, second = view["tables"][0]["rows"]
    assert (first["label"], first["difference"], first["around"]) == ("under in training", "+0.020", "+0.015 to +0.025")
    assert (first["effect"], second["effect"]) == ("helped", "did harm")
    assert (first["spread"], second["spread"]) == ("+0.003", "–")
    assert first["p"][1] == ("0.010", 0.01)


def test_names_are_escaped_in_the_figure(shown):
    view = shown(effects={("<b>x", "training"): (0.02, 0.01)}, types=("<i>", "b"))
    look = view["figure"].views["R2 of means"]["layout"]
    assert look["yaxis"]["ticktext"] == ["&lt;b&gt;x in training"]
    assert look["xaxis"]["ticktext"][0] == "&lt;i&gt;"
    assert "<i>" not in heat(view)["customdata"][0][0]
