"""Sentences of a study of imputations: the answer first, and none that the table does not hold."""

import math

import pandas as pd
import pytest

from cellwright.report.imputations import sentences

HARM = ("false_correlation", "false_markers", "false_correlation_drawn", "false_markers_drawn")
THAN = "than the best baseline, knn_gamma, by 0.030 (95 % interval over 3 seeds 0.010 to 0.050)"
FROM = "not shown to differ from the best baseline, knn_gamma: −0.030"


def row(model, deviance, *, is_baseline=False, **values):
    harm = dict.fromkeys(HARM, 0.0)
    return {
        "model": model, "setting": "", "is_baseline": is_baseline, "n_seeds": 3, "deviance": deviance,
        "best_baseline": "knn_gamma", "difference": math.nan, "ci_low": math.nan, "ci_high": math.nan,
        "means_are_harmless": True, "draws_are_harmless": True, "is_recommended": False,
    } | harm | values  # fmt: skip


def said(*rows):
    return " ".join(sentences(pd.DataFrame(rows)))


def test_without_rows_nothing_is_said():
    assert sentences(pd.DataFrame()) == []


def test_the_recommended_model_comes_first_and_of_what_of_it_does_no_harm():
    base = row("knn_gamma", 3.0, is_baseline=True)
    both = said(row("vae", 2.9, is_recommended=True), base)
    assert both.startswith("Use vae, a network: of those whose expectations or draws do no harm")
    assert "its expectations do none" in both
    drawn = said(row("vae", 2.9, is_recommended=True, means_are_harmless=False, false_markers=0.4), base)
    assert "its draws do none" in drawn
    assert "Expectations of vae invent markers" in drawn
    assert "seem surer than cells are" in drawn


def test_harm_that_was_not_asked_is_said_to_be_unknown():
    unknown = dict.fromkeys(
        ("false_correlation", "false_markers", "false_correlation_drawn", "false_markers_drawn"), math.nan
    )
    text = said(row("vae", 2.9, is_recommended=True, means_are_harmless=False, draws_are_harmless=False, **unknown))
    assert (
        text == "vae, a network, has the least deviance of hidden molecules (2.900); what harm it does was not asked."
    )


def test_where_nothing_fills_in_no_imputation_is_blamed():
    text = said(row("as_measured", 5.0, is_baseline=True))
    assert text.startswith("Nothing that fills in could be fitted")
    assert said(row("vae", 2.9, means_are_harmless=False, draws_are_harmless=False)).startswith("No imputation can be")


@pytest.mark.parametrize(
    ("low", "difference", "high", "text"),
    [
        (-0.05, -0.03, -0.01, f"better {THAN}"),
        (0.01, 0.03, 0.05, f"worse {THAN}"),
        (-0.05, -0.03, 0.01, f"{FROM} (95 % interval over 3 seeds −0.050 to +0.010)."),
        (math.nan, -0.03, math.nan, f"{FROM}."),
    ],
)  # fmt: skip
def test_a_network_is_better_or_worse_only_where_the_interval_says_so(low, difference, high, text):
    assert text in said(row("vae", 2.9, difference=difference, ci_low=low, ci_high=high))
