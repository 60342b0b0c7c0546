"""Tables of a perturbation study: means over types and seeds, paired tests, and sentences that say what they show."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellwright.study.response import (
    NETWORK_COLUMNS,
    REMEDY_COLUMNS,
    board_of,
    holm,
    networks_of,
    over_types,
    paired,
    remedies_of,
    verdict,
)
from cellwright.study.statistics import LEADERBOARD_COLUMNS, interval

TYPES = ("A", "B", "C")
METRICS = {"mean_r2": "higher", "change_pearson": "higher", "e_distance": "lower", "mmd": "lower"}


def scores_of(model, values, *, is_baseline=False, remedy="none", where="", metric="mean_r2"):
    """Rows of one arm from `values (n_seeds, n_types)`."""
    setting = f"balance={remedy} in {where}" if where else ""
    rows = [
        {"group": kind, "seed": seed, "value": value, "metric": metric, "better": METRICS[metric]}
        for seed, row in enumerate(values)
        for kind, value in zip(TYPES, row, strict=False)
    ]
    arm = {"data": "d", "model": model, "setting": setting, "is_baseline": is_baseline, "of": "", "remedy": remedy}
    cost = {"seconds": 2.0, "peak_bytes": 5, "task": "perturb", "held_out": True}
    return pd.DataFrame(rows).assign(**arm, where=where, **cost)


NET = np.array([[0.9, 0.7, 0.8], [0.95, 0.8, 0.8]])


def test_over_types_comes_first_then_over_seeds():
    board = board_of(scores_of("net", NET), TYPES).set_index(["metric", "group"])
    for metric, per_seed in {
        "mean_r2": NET.mean(axis=1),
        "mean_r2_worst": NET.min(axis=1),
        "mean_r2_spread": NET.max(axis=1) - NET.min(axis=1),
    }.items():
        row = board.loc[(metric, "")]
        assert row[["mean", "sd", "ci_low", "ci_high"]].tolist() == pytest.approx(interval(per_seed))
        assert row["n_seeds"] == 2
    assert board.loc[("mean_r2", "B"), "mean"] == pytest.approx(0.75)
    assert board.reset_index().reindex(columns=LEADERBOARD_COLUMNS).shape[1] == len(LEADERBOARD_COLUMNS)


def test_of_a_distance_the_largest_is_the_worst():
    overall = over_types(scores_of("net", NET, metric="e_distance"), TYPES).set_index(["metric", "seed"])["value"]
    assert overall["e_distance_worst", 0] == 0.9
    assert overall["e_distance_spread", 1] == pytest.approx(0.15)


def test_only_some_measures_have_a_worst_type_and_one_type_has_no_spread():
    assert set(over_types(scores_of("net", NET, metric="mmd"), TYPES)["metric"]) == {"mmd"}
    assert set(over_types(scores_of("net", NET[:, :1]), ["A"])["metric"]) == {"mean_r2"}


def test_a_seed_in_which_a_type_has_no_score_is_in_no_mean_over_types():
    values = NET.copy()
    values[1, 2] = np.nan
    board = board_of(scores_of("net", values), TYPES).set_index(["metric", "group"])
    assert board.loc[("mean_r2", ""), "n_seeds"] == 1
    assert board.loc[("mean_r2", ""), "mean"] == pytest.approx(NET[0].mean())
    assert board.loc[("mean_r2", "A"), "n_seeds"] == 2
    assert board.loc[("mean_r2", "C"), "n_seeds"] == 1


def by_type_and_seed(values):
    """A series of `values (n_types, n_seeds)`."""
    frame = pd.DataFrame(values).stack(future_stack=True)
    return frame.rename_axis(["group", "seed"])


def test_a_paired_test_is_that_of_scipy_over_the_means_of_types():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((12, 3)), rng.random((12, 3))
    test = paired(by_type_and_seed(ours), by_type_and_seed(theirs))
    means = ours.mean(axis=1), theirs.mean(axis=1)
    reference = stats.ttest_rel(*means)
    assert test["p_t"] == pytest.approx(reference.pvalue)
    assert (test["ci_low"], test["ci_high"]) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert test["p_wilcoxon"] == pytest.approx(stats.wilcoxon(*means).pvalue)
    assert (test["n_types"], test["n_seeds"]) == (12, 3)
    assert (test["none"], test["with_remedy"]) == pytest.approx((theirs.mean(), ours.mean()))


def test_within_a_type_it_is_that_of_scipy_over_its_seeds():
    rng = np.random.default_rng(1)
    ours, theirs = rng.random((1, 8)), rng.random((1, 8))
    test = paired(by_type_and_seed(ours), by_type_and_seed(theirs), "seeds")
    assert test["p_t"] == pytest.approx(stats.ttest_rel(ours[0], theirs[0]).pvalue)
    assert (test["n_types"], test["n_seeds"]) == (1, 8)


def test_pairs_are_found_by_their_index_and_half_a_pair_is_none():
    index = [pd.MultiIndex.from_tuples(pairs) for pairs in ([("a", 0), ("b", 0), ("x", 0)], [("b", 0), ("a", 0)])]
    test = paired(pd.Series([1.0, 2.0, 5.0], index=index[0]), pd.Series([1.5, 1.0], index=index[1]))
    assert (test["n_types"], test["difference"]) == (2, pytest.approx(0.25))


@pytest.mark.parametrize(
    ("values", "p_t", "p_wilcoxon"),
    [
        ([0.0] * 6, 1.0, 1.0),
        ([0.5] * 6, 0.0, 2 * 0.5**6),
        ([0.5] * 5, 0.0, np.nan),
        ([0.3], np.nan, np.nan),
        ([], np.nan, np.nan),
    ],
    ids=["no difference", "equal differences", "too few for ranks", "one type", "no pair"],
)
def test_a_paired_test_without_variation_or_pairs_says_what_can_be_said(values, p_t, p_wilcoxon):
    index = pd.MultiIndex.from_tuples([(k, 0) for k in range(len(values))], names=["group", "seed"])
    ours = pd.Series(values, dtype=float, index=index)
    test = paired(ours, ours * 0)
    assert (test["p_t"], test["p_wilcoxon"]) == pytest.approx((p_t, p_wilcoxon), nan_ok=True)


def planted(rng, n, mean=0.0):
    """A remedy's differences from none in `n` studies, `(n, n_types, n_seeds)`: types differ more than seeds do."""
    return mean + rng.normal(0, 0.01, (n, 4, 1)) + rng.normal(0, 0.002, (n, 4, 3))


def remedies_with(differences):
    """`remedies.csv` over all types, a remedy for each of the differences; none is everywhere the same."""
    index = pd.MultiIndex.from_product(
        [range(len(differences)), list("ABCD"), range(3)], names=["remedy", "group", "seed"]
    )
    rows = pd.DataFrame({"value": 0.8 + differences.ravel()}, index=index).reset_index()
    none = rows[rows["remedy"] == 0].assign(value=0.8, remedy="none", where="")
    arm = {"data": "d", "model": "net", "setting": "", "is_baseline": False, "of": "", "task": "perturb"}
    arm |= {"metric": "mean_r2", "better": "higher", "held_out": True, "seconds": 1.0, "peak_bytes": 1}
    scores = pd.concat([none, rows.assign(where="training")]).assign(**arm)
    table = remedies_of(scores.assign(setting=scores["remedy"].astype(str)), "ABCD")
    return table[(table["metric"] == "mean_r2") & (table["group"] == "")]


def test_of_planted_studies_without_a_difference_five_in_a_hundred_find_one():
    """As pairs of type and seed it were a third of them."""
    n = 400
    table = remedies_with(planted(np.random.default_rng(0), n))
    found = int((table["p_t"] < 0.05).sum())
    outside = int(((table["ci_low"] > 0) | (table["ci_high"] < 0)).sum())
    assert len(table) == n
    assert found == outside
    low, high = stats.binom.interval(0.999, n, 0.05)
    assert low <= found <= high


def test_a_planted_difference_is_found():
    table = remedies_with(planted(np.random.default_rng(1), 20, mean=0.06))
    assert (table["p_t"] < 0.05).all()
    assert table["difference"].mean() == pytest.approx(0.06, abs=4 * 0.01 / np.sqrt(80))


def test_holm_in_closed_form():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02, np.nan, 0.01]) == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)


@pytest.fixture(scope="module")
def with_remedies():
    """A remedy in training that adds .01 and shrinks the spread by half, and one that does nothing on average."""
    rng = np.random.default_rng(1)
    none = 0.8 + 0.1 * rng.random((3, 3))
    centre = none.mean(axis=1, keepdims=True)
    better = centre + (none - centre) / 2 + 0.05
    noise = rng.normal(0, 0.001, none.shape)
    return none, pd.concat(
        [
            scores_of("base", none + 0.02, is_baseline=True),
            scores_of("net", none),
            scores_of("net", better, remedy="over", where="training"),
            scores_of("net", none + noise - noise.mean(), remedy="under", where="shift"),
        ],
        ignore_index=True,
    )


def test_each_remedy_is_tested_against_none_per_type_over_all_pairs_and_for_the_spread(with_remedies):
    none, scores = with_remedies
    table = remedies_of(scores, TYPES)
    assert table.columns.tolist() == REMEDY_COLUMNS
    over = table[table["remedy"] == "over"].set_index(["metric", "group"])
    assert over.loc[("mean_r2", ""), ["over", "n_types", "n_seeds"]].tolist() == ["types", 3, 3]
    assert over.loc[("mean_r2", ""), "difference"] == pytest.approx(0.05)
    assert over.loc[("mean_r2", "A"), ["over", "n_types", "n_seeds"]].tolist() == ["seeds", 1, 3]
    assert over.loc[("mean_r2_spread", ""), ["over", "n_types", "n_seeds"]].tolist() == ["seeds", 3, 3]
    assert over.loc[("mean_r2_spread", ""), "difference"] == pytest.approx(-np.ptp(none, axis=1).mean() / 2)
    of_all = table[(table["metric"] == "mean_r2") & (table["group"] == "")]
    assert of_all["p_t_holm"].tolist() == pytest.approx(holm(of_all["p_t"].tolist()))
    assert set(zip(table["remedy"], table["where"], strict=True)) == {("over", "training"), ("under", "shift")}


def test_the_verdict_names_the_winner_and_the_remedy_that_helped(with_remedies):
    _, scores = with_remedies
    first, second = verdict(scores, remedies_of(scores, TYPES), TYPES)
    assert first.startswith(
        "net (balance=over in training) (picked as the best of 3 by these very scores) beats the best baseline by "
        "mean, base: mean R2 0."
    )
    assert "over 3 types (mean of 3 seeds each)" in first
    assert "against none over 3 types (mean of 3 seeds each): " in second
    assert "over in training (+0.0500" in second
    assert "helped." in second
    assert "under" not in second


def test_the_verdict_says_that_no_network_and_no_remedy_is_better(with_remedies):
    _, scores = with_remedies
    poor = scores[(scores["remedy"] != "over")]
    first, second = verdict(poor, remedies_of(poor, TYPES), TYPES)
    assert first.startswith("No network beats the best baseline by mean: net")
    assert second.startswith("No remedy for unequal cell-type numbers changed mean R2 beyond chance")


def test_a_difference_within_chance_is_no_victory():
    noise = np.array([[0.02, -0.01, 0.0], [-0.015, 0.02, 0.001]])
    scores = pd.concat([scores_of("net", NET + noise), scores_of("base", NET, is_baseline=True)])
    assert verdict(scores, remedies_of(scores, TYPES), TYPES)[0].startswith("No network is surely better")


def test_the_ceiling_is_no_baseline_to_beat_and_nothing_scored_is_no_verdict():
    scores = pd.concat(
        [
            scores_of("net", NET),
            scores_of("base", NET - 0.1, is_baseline=True),
            scores_of("half_split", NET + 0.04, is_baseline=True),
        ]
    )
    assert verdict(scores, remedies_of(scores, TYPES), TYPES)[0].startswith("net beats the best baseline by mean, base")
    assert verdict(pd.DataFrame(), remedies_of(pd.DataFrame(), []), []) == []
    assert board_of(pd.DataFrame(), []).empty


def test_a_network_that_is_surely_better_is_named_beside_the_best_by_mean_that_is_not():
    steps = {"wild": [0.3, -0.1, 0.0], "steady": [0.05, 0.0501, 0.0499], "base": [0.0] * 3}
    scores = pd.concat([scores_of(m, NET + np.array(by), is_baseline=m == "base") for m, by in steps.items()])
    table = networks_of(scores, TYPES)
    assert table["p_t_holm"].tolist() == pytest.approx(holm(table["p_t"].tolist()))
    (sentence,) = verdict(scores, remedies_of(scores, TYPES), TYPES)
    assert sentence.startswith("wild (picked as the best of 2 by these very scores) is not surely better than the best")
    assert "; steady (difference +0.0500" in sentence


def test_many_networks_are_not_better_because_one_of_them_would_be_alone():
    step = np.array([0.03, 0.05, 0.055])
    one = [scores_of("net", NET + step), scores_of("base", NET, is_baseline=True)]
    rest = [scores_of(f"other_{k}", NET + 0.1 * k * np.array([0.1, -0.1, 0.0])) for k in range(4)]
    alone, among = (networks_of(pd.concat(parts), TYPES).iloc[0] for parts in (one, one + rest))
    assert alone["p_t_holm"] == alone["p_t"] == among["p_t"]
    assert among["p_t_holm"] == pytest.approx(min(1, 5 * among["p_t"]))


def test_of_one_type_there_is_no_test_and_it_is_said():
    scores = pd.concat([scores_of("net", NET[:, :1] + 0.1), scores_of("base", NET[:, :1], is_baseline=True)])
    (sentence,) = verdict(scores, remedies_of(scores, ["A"]), ["A"])
    assert sentence.startswith("No network is surely better")
    assert sentence.endswith("difference +0.1000 of one type (mean of 2 seeds), so there is no test.")


def test_every_network_is_held_against_the_best_baseline_of_each_metric():
    by_metric = {"mean_r2": 0.1, "e_distance": -0.1}
    scores = pd.concat(
        [
            scores_of(model, NET + step, is_baseline=model not in ("net", "other"), metric=metric)
            for metric, better in by_metric.items()
            for model, step in (
                ("net", 2 * better), ("other", 0.0), ("good", better), ("bad", -better), ("half_split", 5 * better)
            )
        ]
    )  # fmt: skip
    table = networks_of(scores, TYPES)
    assert table.columns.tolist() == NETWORK_COLUMNS
    assert table[["metric", "model", "baseline"]].to_numpy().tolist() == [
        [metric, model, "good"] for metric in by_metric for model in ("net", "other")
    ]
    assert table["difference"].tolist() == pytest.approx([0.1, -0.1, -0.1, 0.1])
    assert table[["n_types", "n_seeds"]].to_numpy().tolist() == [[3, 2]] * 4
    first = table.iloc[0]
    assert (first["network"], first["best_baseline"]) == pytest.approx(((NET + 0.2).mean(), (NET + 0.1).mean()))


def test_without_networks_or_baselines_there_is_no_such_test():
    assert networks_of(scores_of("net", NET), TYPES).empty
    assert networks_of(scores_of("base", NET, is_baseline=True), TYPES).empty
    assert networks_of(pd.DataFrame(), []).columns.tolist() == NETWORK_COLUMNS
