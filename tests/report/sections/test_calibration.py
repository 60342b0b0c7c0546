import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cellwright.metrics.ece import ece
from cellwright.report.answers import answers_of
from cellwright.report.contents import read_contents
from cellwright.report.sections.calibration import before_scaling, bins, context, coverage_curve, wilson

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "classification_folder.py"))


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    return read_contents(BUILDER["write_classification"](tmp_path_factory.mktemp("calibration") / "study"))


@pytest.fixture(scope="module")
def answers(contents):
    return next(a for a in answers_of(contents, "blood") if a.title == "gru")


def test_the_bins_are_those_of_the_calibration_error(answers):
    found = bins(answers.codes, answers.probabilities)
    gap = sum(n * abs(confidence - right) for confidence, right, n in found) / sum(n for _, _, n in found)
    assert gap == pytest.approx(ece(answers.codes, answers.probabilities))


def test_scaling_is_undone(answers):
    hot = answers.probabilities.astype(float) ** (1 / 3)
    hot /= hot.sum(axis=1, keepdims=True)
    scaled = replace(answers, probabilities=hot, temperatures=np.full(len(hot), 3.0))
    np.testing.assert_allclose(before_scaling(scaled), answers.probabilities, rtol=1e-4)


def test_the_curve_ends_at_the_accuracy_of_all_answers_and_steps_where_a_threshold_can(answers):
    share, right = coverage_curve(answers)
    assert share[-1] == 1
    assert right[-1] == pytest.approx((answers.predicted == answers.codes).mean())
    for threshold in np.unique(answers.confidence)[::20]:
        answered = answers.confidence >= threshold
        at = np.searchsorted(share, answered.mean() - 1e-12)
        assert right[at] == pytest.approx((answers.predicted == answers.codes)[answered].mean())


@pytest.mark.parametrize(("share", "n"), [(0.0, 5), (0.5, 30), (0.97, 200), (1.0, 1)])
def test_the_interval_is_wilsons(share, n):
    reference = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    assert wilson(round(share * n) / n, n) == pytest.approx((reference.low, reference.high), abs=1e-3)


def test_before_and_after_a_temperature_are_both_drawn_and_said(tmp_path):
    folder = BUILDER["write_classification"](tmp_path / "study", BUILDER["Story"](temperature=2.0))
    block = context(read_contents(folder))["blocks"][0]
    view = next(iter(block["reliability"].views.values()))
    assert [trace["name"].split(",")[0] for trace in view["data"][1:]] == ["before scaling", "after scaling"]
    assert "by a temperature of 2.00" in block["sentences"][0]
    assert block["scaled"]


def test_without_a_threshold_nothing_is_said_of_one(tmp_path):
    folder = BUILDER["write_classification"](tmp_path / "study", BUILDER["Story"](has_threshold=False))
    block = context(read_contents(folder))["blocks"][0]
    assert len(block["sentences"]) == 1
    assert not block["thresholds"]


def test_what_the_thresholds_came_to_is_said(contents, answers):
    sentences = context(contents)["blocks"][0]["sentences"]
    assert len(sentences) == 2
    assert "With the thresholds from validation cells" in sentences[1]
