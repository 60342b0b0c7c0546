import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.responses import (
    MOST_MODELS,
    is_of_responses,
    shown_runs,
    shown_titles,
    standing_of,
    types_of,
)


@pytest.fixture
def contents(responses):
    return read_contents(responses)


def test_a_comparison_is_no_study_of_responses(study, responses):
    assert not is_of_responses(read_contents(study))
    assert is_of_responses(read_contents(responses))


def test_the_standing_is_by_the_headline_and_the_ceiling_does_not_compete(contents):
    standing = standing_of(contents)
    assert standing.main.metric == "mean_r2"
    assert [entry.title for entry in standing.ranked(standing.main)] == ["scgen", "gene_shift", "no_change"]


def test_a_run_of_one_type_stands_by_that_type(responses, responses_builder):
    standing = standing_of(read_contents(responses_builder["response_run"](responses, "scgen", 1)))
    assert standing.entries[0].scores[standing.main].mean == pytest.approx(0.96 - 0.02)


def test_types_are_in_the_order_of_the_plan(responses_builder, tmp_path):
    story = responses_builder["Story"](types=("NK", "CD4T", "B"))
    assert types_of(read_contents(responses_builder["write_responses"](tmp_path, story))) == ["NK", "CD4T", "B"]


def test_remedies_are_not_drawn_but_for_the_best(responses_builder, tmp_path):
    effects = {("under", "training"): (0.01, 0.01), ("over", "training"): (0.005, 0.01)}
    story = responses_builder["Story"](effects=effects)
    titles = shown_titles(read_contents(responses_builder["write_responses"](tmp_path, story)))
    assert titles == ["scgen (balance=under in training)", "scgen", "gene_shift", "no_change"]


def test_of_many_networks_the_best_are_drawn(contents):
    board = contents.leaderboard
    copies = [board[board["model"] == "scgen"].assign(setting=f"n={i}") for i in range(20)]
    contents.leaderboard = pd.concat([board, *copies], ignore_index=True)
    assert len(shown_titles(contents)) == MOST_MODELS


def test_a_run_of_every_type_is_shown(contents):
    runs = shown_runs(contents, ["scgen", "absent"])
    assert [run.record.notes["hold_out"] for run in runs["scgen"]] == [["CD4T"], ["NK"]]
    assert "absent" not in runs
