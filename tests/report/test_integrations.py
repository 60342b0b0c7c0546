"""What a study of integrations says: whom to use, what is lost, and the warning, in numbers that are in its tables."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellwright.report.integrations import sentences, warning

FOLDER = runpy.run_path(str(Path(__file__).parent / "integration_folder.py"))
recommendation, confounding = FOLDER["recommendation"], FOLDER["confounding"]
NOT = confounding(is_confounded=False)


def test_the_answer_names_the_model_its_total_and_what_changes():
    said = sentences(recommendation(), NOT)
    assert said[0] == (
        "Use harmony, a baseline without a network: best total of those that lose nothing (0.712); against uncorrected "
        "cells batches mix better by +0.400, cell types are kept (+0.020) and so is the order in time (−0.020)."
    )


def test_the_best_network_is_set_against_the_best_baseline():
    said = sentences(recommendation(), NOT)[1]
    assert said == (
        "vae, the best network without labels, is worse in total than the best baseline, harmony, by 0.046 (95 % "
        "interval over 2 seeds 0.036 to 0.056)."
    )
    around = {"vae": {"ci_low": -0.1, "ci_high": 0.02}}
    assert "is not shown to differ in total" in sentences(recommendation(**around), NOT)[1]
    alone = {"vae": {"ci_low": np.nan, "ci_high": np.nan}}
    assert sentences(recommendation(**alone), NOT)[1].endswith(
        "not shown to differ in total from the best baseline, harmony: −0.046."
    )


def test_who_loses_cell_types_or_time_is_named_with_how_much():
    said = sentences(recommendation(), NOT)
    assert "Against uncorrected cells these lose cell types (change of the bio total): mmd_vae −0.200." in said
    assert "Against uncorrected cells these lose the order in time (change of the correlation): mmd_vae −0.200." in said


def test_a_model_that_has_seen_labels_is_said_to():
    seen = recommendation(chosen="vae", vae={"reads_labels": True})
    assert "which has seen the labels it is scored by" in sentences(seen, NOT)[0]


@pytest.mark.parametrize(
    ("chosen", "said"), [("pca", "Leave these cells uncorrected"), ("", "No model can be recommended")]
)
def test_where_nothing_is_better_that_is_the_answer(chosen, said):
    assert sentences(recommendation(chosen=chosen), NOT)[0].startswith(said)


def test_a_model_that_mixes_nothing_is_no_correction():
    said = sentences(recommendation(chosen="vae", vae={"batch_change": -0.01}), NOT)[0]
    assert said.startswith("Leave these cells uncorrected (vae)")


def test_the_warning_is_one_sentence_with_numbers_and_only_where_it_is_due():
    (found,) = warning(confounding())
    assert found.startswith(
        "Warning: batches are confounded with biology here (61 % of the variance of minutes lies between batches"
    )
    assert "cell_type" not in found
    assert warning(NOT) == []
    both = confounding().assign(is_confounded=True)
    assert "Cramér's V of batch and cell_type is 0.12" in warning(both)[0]
    assert sentences(recommendation(), confounding())[-1] == found


def test_without_labels_and_time_nothing_is_said_of_them():
    unknown = {"bio_change": np.nan, "time_change": np.nan}
    said = sentences(recommendation(harmony=unknown), NOT)[0]
    assert said.endswith("against uncorrected cells batches mix better by +0.400.")


def test_tables_without_rows_say_nothing():
    assert sentences(pd.DataFrame(), pd.DataFrame()) == []
