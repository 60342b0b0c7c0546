import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.recovery import (
    best_baseline,
    by_type,
    is_of_recovery,
    recommendation_of,
    shown_runs,
    standing_of,
)
from cellwright.report.standing import best_first
from cellwright.run import Run


@pytest.fixture
def contents(recovery):
    return read_contents(recovery)


def test_a_study_of_imputations_is_told_from_others_and_so_is_its_run(recovery, recovery_builder, study, responses):
    assert is_of_recovery(read_contents(recovery))
    assert is_of_recovery(read_contents(recovery_builder["recovery_run"](recovery, "vae")))
    assert not is_of_recovery(read_contents(study))
    assert not is_of_recovery(read_contents(responses))


def test_models_stand_by_deviance_though_the_ari_says_otherwise(contents):
    standing = standing_of(contents)
    assert standing.main.metric == "poisson_deviance"
    assert [entry.title for entry in standing.entries] == ["vae", "knn_gamma", "magic", "as_measured"]
    assert [run.title for run in best_first(contents, "pbmc")] == ["vae", "knn_gamma", "magic", "as_measured"]


def test_the_best_baseline_is_that_of_least_deviance(contents):
    assert best_baseline(standing_of(contents)).title == "knn_gamma"


def test_the_run_with_the_lowest_seed_that_went_well_is_shown_but_not_of_what_imputes_nothing(
    recovery_builder, tmp_path
):
    folder = recovery_builder["write_recovery"](tmp_path / "study")
    Run(recovery_builder["recovery_run"](folder, "vae", 0)).fail("it diverged")
    runs = shown_runs(read_contents(folder))
    assert {title: run.record.seed for title, run in runs.items()} == {"vae": 1, "knn_gamma": 0, "magic": 0}


def test_scores_by_type_are_those_of_the_leaderboard(contents):
    table = by_type(contents, "poisson_deviance")
    assert table.loc["rare", "vae"] == pytest.approx(2.9 * 3)
    assert "" not in table.index


def test_a_recommendation_that_does_not_say_what_it_recommends_has_no_rows(recovery_builder, tmp_path):
    folder = recovery_builder["write_recovery"](tmp_path / "study")
    assert len(recommendation_of(read_contents(folder))) == 4
    table = pd.read_csv(folder / "recommendation.csv").drop(columns="is_recommended")
    table.to_csv(folder / "recommendation.csv", index=False)
    assert len(recommendation_of(read_contents(folder))) == 0
