import shutil
from itertools import count
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section
from cellwright.report.sections.response import SECTION, context
from cellwright.run import Run


@pytest.fixture
def shown(responses_builder, tmp_path):
    numbers = count()

    def show(**story):
        folder = tmp_path / str(next(numbers))
        return context(read_contents(responses_builder["write_responses"](folder, responses_builder["Story"](**story))))

    return show


def html_of(folder):
    return str(render_section("response", SECTION, read_contents(folder), _environment()))


def test_the_rows_are_best_first_between_the_ceiling_and_the_floor(responses):
    rows = context(read_contents(responses))["rows"]
    assert [row["title"] for row in rows] == ["half_split", "scgen", "gene_shift", "no_change"]
    assert [row["is_baseline"] for row in rows] == [False, False, True, True]
    assert [row["is_ceiling"] for row in rows] == [True, False, False, False]


def test_a_strip_runs_from_no_change_to_real_cells(responses):
    rows = {row["title"]: row for row in context(read_contents(responses))["rows"]}
    assert [rows[name]["cells"][0]["bar"]["mean"] for name in ("no_change", "gene_shift", "half_split")] == [0, 75, 100]


def test_a_score_beyond_the_ceiling_is_marked_at_the_end_of_its_strip(responses):
    view = context(read_contents(responses))
    at = [heading.above for heading in view["headings"]].index("top 100 genes")
    strip = view["rows"][1]["cells"][at]["bar"]
    assert (strip["mean"], strip["outside"]) == (100, True)
    assert view["rows"][1]["cells"][0]["bar"]["outside"] is False


def test_the_first_sentence_answers_whether_a_network_is_better(shown):
    assert shown(difference=(0.01, 0.005, 0.015))["headline"][0].startswith("A network beats the best baseline: scgen")
    assert shown(difference=(-0.01, -0.015, -0.005))["headline"][0].startswith("No network beats the best baseline")


def test_the_first_sentence_is_first_on_the_page(responses):
    text = html_of(responses)
    assert text.index("A network beats the best baseline") < text.index("E-distance")


def test_a_quick_study_says_so(shown):
    assert "at most 15 epochs, with 1 seed" in shown(quick=True, n_seeds=1)["quick"][0]
    assert shown()["quick"] == []


def test_a_model_that_failed_is_the_last_row_with_its_reason(shown):
    last = shown(failed="scgen", reason="it must have two types")["rows"][-1]
    assert (last["title"], last["failed"], last["reason"]) == ("scgen", True, "it must have two types")


def test_remedies_are_told_where_they_were_tested(shown):
    assert shown()["remedies"] == []
    assert shown(effects={("under", "training"): (0.02, 0.01)})["remedies"][0].startswith("On average, over 2 types")


def test_a_run_by_itself_says_what_it_reaches(responses, responses_builder):
    view = context(read_contents(responses_builder["response_run"](responses, "scgen", 0)))
    assert view["headline"] == ["scgen reaches an R2 of means of 0.960."]


def test_without_the_tests_nothing_is_claimed(responses, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    (folder / "networks.csv").unlink()
    assert context(read_contents(folder))["headline"] == ["Networks and baselines were not compared pair by pair."]


def test_a_training_that_was_cut_short_is_said_unless_all_were(responses, responses_builder, tmp_path):
    for quick in (False, True):
        folder = responses_builder["write_responses"](tmp_path / str(quick), responses_builder["Story"](quick=quick))
        Run(responses_builder["response_run"](folder, "scgen", 0)).note("endings", ["cap"])
        rows = {row["title"]: row for row in context(read_contents(folder))["rows"]}
        assert rows["scgen"]["cut_short"] is not quick
        assert not rows["gene_shift"]["cut_short"]


def test_without_scores_the_section_says_where_the_predictions_are(responses, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    (folder / "networks.csv").unlink()
    (folder / "leaderboard.csv").write_text("data,model,setting,task,metric,group,status\nkang,scgen,,,,,done\n")
    assert context(read_contents(folder))["headline"] == [
        "There are no treated cells of the held-out types, so nothing is scored: the predictions are in the runs."
    ]
