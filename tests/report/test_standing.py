import math

import pandas as pd
import pytest

from cellwright.report.contents import read_contents, read_table
from cellwright.report.standing import Column, Score, in_sentence, is_tie, main_column, metric_title, standings

NAN = math.nan


@pytest.mark.parametrize(
    ("a", "b", "tied"),
    [
        (Score(0.75, 0.25, 3), Score(0.5, 0.0, 3), True),
        (Score(0.75, 0.125, 3), Score(0.5, 0.1875, 3), False),
        (Score(0.75, 0.0, 3), Score(0.5, 0.5, 3), True),
        (Score(0.75, NAN, 1), Score(0.75, NAN, 1), True),
        (Score(0.75, NAN, 1), Score(0.7499, NAN, 1), False),
    ],
    ids=["exactly the larger", "beyond both", "of the other", "equal without spread", "different without spread"],
)
def test_a_tie_is_a_difference_within_the_larger_half_width(a, b, tied):
    assert is_tie(a, b) is tied
    assert is_tie(b, a) is tied


def board(*rows):
    columns = ["model", "task", "metric", "better", "mean", "half", "held_out", "seconds"]
    table = pd.DataFrame(rows, columns=columns)
    table["ci_low"], table["ci_high"] = table["mean"] - table["half"], table["mean"] + table["half"]
    same = {"data": "d", "setting": "", "group": "", "n_seeds": 3, "peak_bytes": NAN, "status": "done", "reason": ""}
    return table.assign(**same, is_baseline=table["model"] == "pca")


def test_entries_are_ordered_by_the_main_measure_in_its_direction():
    lower = board(
        *[(m, "impute", "rmse", "lower", v, 0.0, False, 1.0) for m, v in (("a", 3.0), ("b", 1.0), ("c", 2.0))]
    )
    assert [entry.title for entry in standings(lower)[0].entries] == ["b", "c", "a"]


def test_a_model_without_scores_is_last_and_says_why():
    rows = board(("a", "cluster", "ari", "higher", 0.5, 0.0, False, 1.0), ("gan", "", "", "", NAN, NAN, False, 1.0))
    rows.loc[1, ["status", "reason"]] = ["failed", "it diverged"]
    last = standings(rows)[0].entries[-1]
    assert (last.title, last.reason, last.scores) == ("gan", "it diverged", {})


def test_all_cells_and_held_out_cells_stand_apart():
    rows = board(("a", "c", "ari", "higher", 0.5, 0.0, False, 1.0), ("a", "c", "ari", "higher", 0.4, 0.0, True, 1.0))
    assert [(s.held_out, s.entries[0].scores[s.columns[0]].mean) for s in standings(rows)] == [
        (False, 0.5),
        (True, 0.4),
    ]


def test_equal_means_are_ordered_by_time():
    rows = board(
        ("slow", "c", "ari", "higher", 0.5, 0.0, False, 9.0), ("fast", "c", "ari", "higher", 0.5, 0.0, False, 1.0)
    )
    assert [entry.title for entry in standings(rows)[0].entries] == ["fast", "slow"]


def test_the_main_measure_is_the_ari_of_k_means_then_an_ari_then_the_first():
    nmi, ari, k_means = (Column(t, m, "higher") for t, m in (("leiden", "nmi"), ("leiden", "ari"), ("kmeans", "ari")))
    assert main_column([nmi, ari, k_means]) == k_means
    assert main_column([nmi, ari]) == ari
    assert main_column([nmi]) == nmi
    assert main_column([]) is None


def test_hidden_molecules_come_before_any_ari_and_make_one_group_of_all_tasks():
    deviance, ari = Column("impute", "poisson_deviance", "lower"), Column("cluster", "ari", "higher")
    assert main_column([ari, deviance]) == deviance
    rows = board(
        ("a", "cluster", "ari", "higher", 0.9, 0.0, True, 1.0),
        ("a", "impute", "poisson_deviance", "lower", 3.0, 0.0, True, 1.0),
        ("b", "cluster", "ari", "higher", 0.1, 0.0, True, 1.0),
        ("b", "impute", "poisson_deviance", "lower", 2.0, 0.0, True, 1.0),
    )
    [standing] = standings(rows)
    assert [entry.title for entry in standing.entries] == ["b", "a"]
    assert set(standing.columns) == {deviance, ari}


def test_the_standing_holds_the_leaderboards_numbers(study):
    text = ["model", "setting", "metric", "group", "held_out"]
    table = read_table(study / "leaderboard.csv", text, ["mean", "ci_low", "ci_high"])
    raw = table[(table["metric"] == "ari") & (table["group"] == "") & (table["held_out"] == "False")].set_index("model")
    standing = standings(read_contents(study).leaderboard)[0]
    found = {entry.title: entry.scores[standing.main] for entry in standing.entries if entry.scores}
    assert {title: score.mean for title, score in found.items()} == raw["mean"].to_dict()
    for title, score in found.items():
        assert score.half_width == pytest.approx((raw.ci_high - raw.ci_low)[title] / 2)


@pytest.mark.parametrize(
    ("title", "shown"), [("Adjusted Rand index", "adjusted Rand index"), ("F1", "F1"), ("ARI", "ARI")]
)
def test_titles_lose_their_capital_within_a_sentence(title, shown):
    assert in_sentence(title) == shown


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("e_distance", "E-distance"),
        ("e_distance_top100", "E-distance, top 100 genes"),
        ("e_distance_placed", "E-distance, placed"),
        ("e_distance_top50_placed", "E-distance, top 50 genes, placed"),
        ("e_distance_worst", "E-distance, worst label"),
        ("e_distance_spread", "E-distance, best minus worst label"),
        ("false_markers_drawn", "False markers between halves, draws"),
        ("something_else", "something else"),
    ],
)
def test_what_is_made_of_a_metric_has_its_title_and_what_it_is(metric, title):
    assert metric_title(metric) == title
