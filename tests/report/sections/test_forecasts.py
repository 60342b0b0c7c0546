"""What is said of forecasts: no lead within the interval is called one; panels hold what was seen, said and came."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.forecasts import context

ROWS = runpy.run_path(str(Path(__file__).parents[1] / "forecast_rows.py"))


def block_of(study_builder, folder, **options):
    study = ROWS["with_forecasts"](study_builder["write_study"](folder / "study"), **options)
    (block,) = context(read_contents(study))["blocks"]
    return block


@pytest.fixture
def block(study_builder, tmp_path):
    return block_of(study_builder, tmp_path)


def test_the_best_is_compared_with_the_best_baseline(block):
    (sentence,) = block["sentences"]
    assert sentence == (
        "Nearest to what came is vae (error 0.300 ± 0.020), ahead of the best baseline, pca (0.500 ± 0.020). "
        "Its interval for nine values in ten is off by 3.0 points."
    )


@pytest.mark.parametrize(
    ("means", "n_seeds", "said"),
    [
        ({("vae", ""): 0.49, ("pca", ""): 0.50}, 3, "not reliably ahead of the best baseline"),
        ({("vae", ""): 0.30, ("pca", ""): 0.50}, 1, "before (one seed, so the spread is unknown)"),
        ({("vae", ""): 0.60, ("pca", ""): 0.50}, 3, "pca (error 0.500 ± 0.020), a baseline: no network is better."),
    ],
    ids=["within the interval", "one seed", "a baseline"],
)
def test_no_lead_is_called_one_that_the_seeds_do_not_show(study_builder, tmp_path, means, n_seeds, said):
    assert said in block_of(study_builder, tmp_path, means=means, n_seeds=n_seeds)["sentences"][0]


def test_errors_by_step_are_a_line_per_model_and_baselines_are_dotted(block):
    vae, pca = block["by_step"].views["error"]["data"]
    assert (vae["x"], vae["y"]) == ([1, 2], [0.24, 0.36])
    assert (vae["line"]["dash"], pca["line"]["dash"]) == ("solid", "dot")


def test_a_panel_holds_bands_from_the_last_value_that_was_seen_and_what_came(block):
    view = block["fans"].views["vae"]
    assert list(block["fans"].views) == ["vae", "pca"]  # the best first
    wide, narrow, mean, seen, came = view["data"][:5]
    assert wide["x"] == [30, 40, 50, 50, 40, 30]
    assert wide["y"][0] == wide["y"][-1] == 3
    assert wide["y"][1] < narrow["y"][1] < mean["y"][1] == 4
    assert (seen["x"], seen["y"]) == ([0, 10, 20, 30], [0, 1, 2, 3])
    assert (came["x"], came["y"]) == ([40, 50], [4, 5])
    assert came["showlegend"]
    assert not view["data"][5]["showlegend"]


def test_a_value_that_was_not_measured_is_no_ring_and_markup_in_names_is_text(block):
    view = block["fans"].views["vae"]
    titles = [note["text"] for note in view["layout"]["annotations"]]
    assert len(titles) == 4
    assert not any("<b>·" in title or "YBR<b>" in title for title in titles)
    elu = next(at for at, title in enumerate(titles) if "elu" in title)
    assert view["data"][5 * elu + 4]["y"] == [4, None]


def test_a_study_without_forecasts_has_no_such_section(study):
    assert context(read_contents(study)) is None
