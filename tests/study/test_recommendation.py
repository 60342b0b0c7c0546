"""Recommendation: the least deviance of what does no harm; differences are paired by seed."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellwright.study.recommendation import COLUMNS, recommendation


def scores(**models):
    """Rows of scores; of each model: deviances by seed, is_baseline, and harm by metric."""
    rows = []
    for name, (deviances, is_baseline, harm) in models.items():
        for seed, value in enumerate(deviances):
            every = {"poisson_deviance": value, **harm}
            rows += [
                {"model": name, "setting": "", "is_baseline": is_baseline, "seed": seed, "metric": m, "value": v,
                 "group": ""}
                for m, v in every.items()
            ]  # fmt: skip
            rows.append(rows[-1] | {"metric": "poisson_deviance", "value": -99.0, "group": "a label"})
    return pd.DataFrame(rows)


def harm(means=0.0, draws=None):
    found = {"false_correlation": means, "false_markers": means}
    return found | ({} if draws is None else {"false_correlation_drawn": draws, "false_markers_drawn": draws})


def chosen(**models):
    table = recommendation(scores(**models))
    return table.loc[table["is_recommended"], "model"].tolist()


def test_models_are_ordered_by_deviance_over_all_cells_and_columns_are_those_of_the_contract():
    table = recommendation(scores(net=([1.0, 1.2], False, harm()), mean=([2.0, 2.0], True, harm())))
    assert list(table.columns) == COLUMNS
    assert table["model"].tolist() == ["net", "mean"]
    assert table["deviance"].tolist() == pytest.approx([1.1, 2.0])
    assert table["n_seeds"].tolist() == [2, 2]


def test_the_difference_from_the_best_baseline_is_students_over_pairs_of_seeds():
    net, best = np.array([1.0, 1.5, 1.1]), np.array([1.2, 1.6, 1.4])
    table = recommendation(scores(net=(net, False, {}), best=(best, True, {}), other=(best + 1, True, {})))
    row = table.set_index("model").loc["net"]
    low, high = stats.ttest_rel(net, best).confidence_interval(0.95)
    assert row["best_baseline"] == "best"
    assert row["difference"] == pytest.approx((net - best).mean())
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    assert math.isnan(table.set_index("model").loc["best", "difference"])


def test_who_invents_in_means_is_recommended_only_for_draws_that_do_not():
    good, bad, fair = ([1.0], False, harm(0.2, 0.01)), ([0.9], False, harm(0.2, 0.2)), ([2.0], True, harm(0.01))
    assert chosen(good=good, bad=bad, fair=fair) == ["good"]
    assert chosen(bad=bad, fair=fair) == ["fair"]
    table = recommendation(scores(good=good, bad=bad, fair=fair)).set_index("model")
    assert table["means_are_harmless"].to_dict() == {"good": False, "bad": False, "fair": True}
    assert table["draws_are_harmless"].to_dict() == {"good": True, "bad": False, "fair": False}


def test_nothing_is_recommended_where_everything_invents_and_never_what_fills_nothing_in():
    assert chosen(bad=([1.0], False, harm(0.2)), as_measured=([3.0], True, harm(0.0))) == []


def test_where_no_harm_was_asked_the_least_deviance_is_named_and_nothing_is_called_harmless():
    table = recommendation(scores(net=([1.0], False, {}), mean=([2.0], True, {})))
    assert table.loc[table["is_recommended"], "model"].tolist() == ["net"]
    assert not table["means_are_harmless"].any()
    assert not table["draws_are_harmless"].any()


def test_harm_that_was_asked_of_others_and_is_not_known_is_not_harmless():
    assert chosen(unknown=([1.0], False, {}), known=([2.0], True, harm(0.01))) == ["known"]


def test_who_lacks_a_seed_stands_behind_who_has_all_and_is_compared_on_what_both_have():
    table = recommendation(scores(net=([5.2], False, harm()), base=([4.9, 8.9], True, harm())))
    assert table["model"].tolist() == ["base", "net"]
    assert table.set_index("model").loc["net", "difference"] == pytest.approx(0.3)
    assert table.loc[table["is_recommended"], "model"].tolist() == ["base"]


def test_without_scores_there_is_a_table_without_rows():
    assert list(recommendation(pd.DataFrame()).columns) == COLUMNS
    without = scores(net=([1.0], False, {})).query("metric != 'poisson_deviance'")
    assert not len(recommendation(without))
