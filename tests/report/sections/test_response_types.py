import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.response_types import BEYOND, context


@pytest.fixture
def views(responses):
    return context(read_contents(responses))["figure"].views


def test_a_bar_goes_from_no_change_to_the_mean_in_every_measure_and_type(views):
    levels = {"scgen": 0.96, "gene_shift": 0.95}
    for trace, fall in zip(views["R2 of means"]["data"], (0.0, 0.02), strict=True):
        assert trace["base"] == pytest.approx(0.8 - fall)
        assert [trace["base"] + length for length in trace["x"]] == pytest.approx([v - fall for v in levels.values()])


def test_lines_stand_at_no_change_and_at_the_ceiling(views):
    assert [line["x0"] for line in views["R2 of means"]["layout"]["shapes"]] == pytest.approx([0.8, 1.0, 0.78, 0.98])


def test_right_is_better_where_lower_is(views):
    low, high = views["R2 of means"]["layout"]["xaxis"]["range"]
    assert low < high
    left, right = views["E-distance"]["layout"]["xaxis"]["range"]
    assert left > right


def test_the_interval_is_half_its_width_to_either_side(views):
    assert views["R2 of means"]["data"][0]["error_x"]["array"] == pytest.approx([0.004, 0.004])


def test_what_is_far_worse_than_no_change_does_not_squeeze_the_others(responses):
    contents = read_contents(responses)
    contents.leaderboard.loc[contents.leaderboard["model"] == "gene_shift", "mean"] = -9.0
    low, _ = context(contents)["figure"].views["R2 of means"]["layout"]["xaxis"]["range"]
    assert 0.8 - 1.5 * BEYOND * 0.2 < low < 0.8


def test_the_panels_stand_below_one_another_in_a_narrow_window(views):
    narrow, wide = views["R2 of means"]["narrow"], views["R2 of means"]["layout"]
    assert narrow["xaxis"]["domain"] == narrow["xaxis2"]["domain"] == [0, 1]
    assert wide["xaxis"]["domain"] != wide["xaxis2"]["domain"]


def test_names_of_types_are_escaped(responses_builder, tmp_path):
    story = responses_builder["Story"](types=("<b>T</b>", "a<i>"))
    figure = context(read_contents(responses_builder["write_responses"](tmp_path, story)))["figure"]
    titles = [note["text"] for note in figure.views["R2 of means"]["layout"]["annotations"]]
    assert titles == ["<b>&lt;b&gt;T&lt;/b&gt;</b>", "<b>a&lt;i&gt;</b>"]


def test_a_model_without_a_type_has_no_bar_there(responses):
    contents = read_contents(responses)
    board = contents.leaderboard
    contents.leaderboard = board[~((board["model"] == "gene_shift") & (board["group"] == "NK"))]
    first, second = context(contents)["figure"].views["R2 of means"]["data"]
    assert (len(first["y"]), len(second["y"])) == (2, 1)
