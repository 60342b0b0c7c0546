import shutil
from pathlib import Path

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.response_cells import context


@pytest.fixture
def figure(responses):
    return context(read_contents(responses))["figure"]


def test_every_cell_is_a_point_of_its_kind_in_the_panel_of_its_type(figure):
    traces = figure.views["scgen"]["data"]
    assert [(trace["name"], trace["xaxis"], len(trace["x"])) for trace in traces] == [
        (kind, axis, 20) for axis in ("x", "x2") for kind in ("control", "treated", "predicted")
    ]


def test_arrows_go_from_the_mean_of_control_cells_to_the_others(figure, responses, responses_builder):
    places = pd.read_csv(responses_builder["response_run"](responses, "scgen", 0) / "places.csv")
    means = places.groupby("kind")["x"].mean()
    arrows = [note for note in figure.views["scgen"]["layout"]["annotations"] if note["showarrow"]]
    assert [arrow["ax"] for arrow in arrows[:2]] == pytest.approx([means["control"]] * 2, abs=1e-3)
    assert {arrow["x"] for arrow in arrows[:2]} == {round(means["treated"], 3), round(means["predicted"], 3)}


def test_the_axes_are_the_same_for_every_model_and_hold_the_real_cells(figure):
    ranges = [view["layout"]["xaxis"]["range"] for view in figure.views.values()]
    assert ranges[0] == ranges[1] == ranges[2]
    real = [x for trace in figure.views["scgen"]["data"][:2] for x in trace["x"]]
    assert ranges[0][0] < min(real) <= max(real) < ranges[0][1]


def test_predicted_cells_far_away_do_not_squeeze_the_real_ones(responses, responses_builder, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    path = responses_builder["response_run"](folder, "gene_shift", 0) / "places.csv"
    places = pd.read_csv(path)
    places.loc[places["kind"] == "predicted", "x"] += 1000
    places.to_csv(path, index=False)
    real = places.loc[places["kind"] != "predicted", "x"]
    low, high = context(read_contents(folder))["figure"].views["scgen"]["layout"]["xaxis"]["range"]
    assert high - low < 2.2 * (real.max() - real.min())


def test_the_shares_of_variance_stand_at_the_axes(figure):
    look = figure.views["scgen"]["layout"]
    assert look["xaxis"]["title"]["text"] == "first component (40%)"
    assert look["yaxis"]["title"]["text"] == "second component (10%)"


def test_without_places_there_is_no_section(responses, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    for path in folder.glob("runs/*/places.csv"):
        path.unlink()
    assert context(read_contents(folder)) is None
