import math

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.findings import about_remedies, against_baselines, effect, outcome, quick_note, signed
from cellwright.report.names import names_of
from cellwright.report.responses import networks_of, remedies_of

NAN = math.nan
UNDER, OVER = ("under", "training"), ("over", "shift")
GREW = (
    "The spread between the best and the worst type grew most with under in training, by +0.020, which is not beyond "
    "chance."
)


@pytest.fixture
def said(responses_builder, tmp_path):
    """The sentences of a story: about the network, about the remedies."""

    def tell(**story):
        folder = responses_builder["write_responses"](tmp_path / "study", responses_builder["Story"](**story))
        contents = read_contents(folder)
        names = names_of(contents)
        return against_baselines(networks_of(contents), names), about_remedies(remedies_of(contents), names)

    return tell


def test_a_network_whose_interval_lies_above_0_beats_the_best_baseline(said):
    first, *_ = said(difference=(0.01, 0.005, 0.015))[0]
    assert first == (
        "A network beats the best baseline: scgen reaches a mean R2 of 0.960, gene_shift 0.950; over 2 types (mean of "
        "3 seeds each) the difference is +0.010 (95 % interval +0.005 to +0.015)."
    )


def test_a_network_whose_interval_lies_below_0_is_worse(said):
    first, *_ = said(difference=(-0.01, -0.015, -0.005))[0]
    assert first.startswith(
        "No network beats the best baseline: gene_shift reaches a mean R2 of 0.950, the best network"
    )
    assert first.endswith("−0.010 (95 % interval −0.015 to −0.005): the network is worse.")


@pytest.mark.parametrize(
    ("difference", "start"),
    [(0.004, "No network is shown to beat the best baseline"), (-0.004, "No network beats the best baseline")],
    ids=["a little above", "a little below"],
)
def test_an_interval_that_includes_0_claims_neither_way(said, difference, start):
    first, *_ = said(difference=(difference, difference - 0.01, difference + 0.01))[0]
    assert first.startswith(start)
    assert first.endswith("an interval that includes 0.")
    assert "worse" not in first


def test_a_single_pair_has_no_interval_and_beats_nothing(said):
    first, *_ = said(difference=(0.01, NAN, NAN), n_seeds=1, types=("NK",))[0]
    assert first.startswith("No network is shown to beat")
    assert first.endswith("over 1 type (mean of 1 seed each) the difference is +0.010 (one type, so no test).")


def test_a_lower_e_distance_is_better_and_the_correlation_is_judged_by_its_own_interval(said):
    _, correlation, distance = said(e_distance=(-0.2, -0.3, -0.1), change_pearson=(0.01, -0.02, 0.04))[0]
    assert correlation.startswith("By correlation of change the network cannot be told from the best baseline: 0.760")
    assert distance.startswith("By E-distance the network is better than the best baseline: 0.800 against 1.000")


def test_the_best_of_several_networks_is_said_to_be_flattered():
    row = {
        "setting": "", "metric": "mean_r2", "better": "higher", "baseline": "b", "baseline_setting": "", "n_types": 4,
        "n_seeds": 3, "p_t_holm": 0.01, "network": 0.9, "best_baseline": 0.8, "difference": 0.1,
        "ci_low": 0.05, "ci_high": 0.15,
    }  # fmt: skip
    told = against_baselines(pd.DataFrame([{**row, "model": "x"}, {**row, "model": "y", "difference": 0.05}]), {})
    assert told[0].startswith("A network beats the best baseline: x reaches")
    assert told[1].startswith("The network is the best of 2 networks")
    wide = {**row, "model": "x", "ci_low": -0.1, "ci_high": 0.3, "p_t_holm": 0.3}
    told = against_baselines(pd.DataFrame([wide, {**row, "model": "y", "difference": 0.05}]), {})
    assert told[0].startswith("A network beats the best baseline, but not the best network by mean: x reaches")
    assert told[0].endswith("an interval that includes 0. Better beyond chance: y.")


def test_without_tests_nothing_is_said(said):
    assert said(effects={})[1] == []
    assert against_baselines(pd.DataFrame(columns=["metric", "difference"]), {}) == []


def test_remedies_that_help_and_harm_on_average_are_named_with_their_differences(said):
    effects = {UNDER: (0.02, 0.01), OVER: (-0.03, 0.02), ("over", "both"): (0.01, 0.5)}
    average = said(effects=effects)[1][0]
    assert average == (
        "On average, over 2 types (mean of 3 seeds each), under in training (+0.020) raised R2 of means; over in shift "
        "(−0.030) lowered R2 of means; the other remedy cannot be told from none."
    )


def test_remedies_that_only_harm_are_not_said_to_help(said):
    average = said(effects={UNDER: (-0.02, 0.01)})[1][0]
    assert average.endswith("under in training (−0.020) lowered R2 of means; no remedy is shown to raise it.")


def test_a_remedy_that_may_be_chance_is_not_said_to_help(said):
    average = said(effects={UNDER: (0.02, 0.2), OVER: (0.01, 0.05)})[1][0]
    assert "no remedy for unequal cell-type numbers is shown to change R2 of means" in average
    assert "the largest gain is that of under in training: +0.020 (95 % interval +0.015 to +0.025)." in average


def test_a_lower_e_distance_with_a_remedy_is_an_improvement(said, responses_builder):
    table = responses_builder["_remedies"](responses_builder["Story"](effects={UNDER: (0.02, 0.01)}))
    table.loc[table["metric"] == "e_distance", "p_t_holm"] = 0.01
    told = about_remedies(table, {})
    assert told[1] == "E-distance became better by under in training (−0.020)."


def test_which_remedy_helps_which_type_is_told_by_type(said):
    by_type = {("CD4T", *UNDER): (0.03, 0.01), ("NK", *UNDER): (-0.04, 0.01)}
    told = said(effects={UNDER: (0.0, 1.0)}, by_type=by_type)[1]
    assert (
        "By type, beyond the noise of split and training over 3 seeds: CD4T is helped by under in training (+0.030); "
        "NK is harmed by under in training (−0.040)."
    ) in told


def test_with_one_seed_nothing_is_said_of_single_types(said):
    told = said(effects={UNDER: (0.02, 0.01)}, n_seeds=1)[1]
    assert "With one seed a type has one pair of runs, so which remedy helps which type is open." in told


@pytest.mark.parametrize(
    ("spread", "p", "sentence"),
    [
        (0.02, 0.01, "Under in training (+0.020) widened the spread between the best and the worst type."),
        (-0.02, 0.01, "Under in training (−0.020) narrowed the spread between the best and the worst type."),
        (0.02, 0.3, GREW),
        (-0.02, 0.3, "No remedy widened the spread between the best and the worst type."),
    ],
    ids=["wider", "narrower", "may be chance", "none"],
)  # fmt: skip
def test_the_spread_between_types_is_told(said, spread, p, sentence):
    assert sentence in said(effects={UNDER: (0.01, 0.2)}, spreads={UNDER: (spread, p)})[1]


@pytest.mark.parametrize(
    ("helped", "conclusion"),
    [
        ({"training"}, "It was the training that needed balancing"),
        ({"shift"}, "It was the shift that needed balancing"),
        ({"training", "shift"}, "Balancing helped in the training as well as in the shift."),
        ({"both"}, "Only balancing both is shown to help"),
        (set(), "Neither the training nor the shift is shown to have needed balancing."),
    ],
    ids=["training", "shift", "either", "both only", "none"],
)
def test_where_balancing_was_needed_follows_from_where_a_remedy_helped(said, helped, conclusion):
    effects = {("over", place): (0.01, 0.01 if place in helped else 0.9) for place in ("training", "shift", "both")}
    last = said(effects=effects)[1][-1]
    assert last.startswith("Mean change over the remedies: in the training +0.010, in the shift +0.010, in both")
    assert conclusion in last


def test_remedies_in_one_place_alone_do_not_tell_where_balancing_was_needed(said):
    assert not any("Mean change" in sentence for sentence in said(effects={UNDER: (0.01, 0.01)})[1])


@pytest.mark.parametrize(
    ("better", "difference", "p", "expected"),
    [
        ("higher", 0.1, 0.01, "better"),
        ("higher", -0.1, 0.01, "worse"),
        ("lower", 0.1, 0.01, "worse"),
        ("lower", -0.1, 0.01, "better"),
        ("lower", -0.1, 0.06, "open"),
        ("higher", 0.1, NAN, "open"),
    ],
)
def test_an_outcome_follows_the_direction_of_its_metric(better, difference, p, expected):
    assert outcome(pd.Series({"better": better, "difference": difference, "p_t_holm": p})) == expected


def test_an_effect_without_a_p_value_is_open():
    assert effect(pd.Series({"better": "higher", "difference": 1.0, "p_t_holm": NAN})) == "open"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "+0.012"), (-0.00042, "−0.0004"), (-6e-6, "0.000"), (12.5, "+12.500"), (NAN, "–")]
)
def test_differences_have_a_sign_and_enough_decimals(value, text):
    assert signed(value) == text


def test_a_quick_look_is_called_one():
    plan = {"perturb": {"quick": True}, "fit": {"max_epochs": 15}}
    assert list(quick_note(plan, 1)) == [
        "This was a quick look: networks were trained for at most 15 epochs, with 1 seed; a full study may differ."
    ]
    assert list(quick_note({"perturb": {"quick": False}}, 1)) == []
    assert list(quick_note({}, 3)) == []


def test_a_screen_is_judged_by_its_own_score(responses_builder):
    story = responses_builder["Story"](effects={UNDER: (0.02, 0.01)}, spreads={UNDER: (0.02, 0.01)})
    networks, remedies = (
        responses_builder[name](story).replace(
            {"metric": {"mean_r2": "screen_score", "mean_r2_spread": "screen_score_spread"}}
        )
        for name in ("_networks", "_remedies")
    )
    assert against_baselines(networks, {})[0].startswith(
        "A network beats the best baseline: scgen reaches a screen score of 0.960"
    )
    told = about_remedies(remedies, {})
    assert told[0] == (
        "On average, over 2 labels (mean of 3 seeds each), under in training (+0.020) raised screen score."
    )
    assert "widened the spread between the best and the worst label" in told[-1]
    assert not any("type" in sentence for sentence in told)
