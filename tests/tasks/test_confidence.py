"""When to be unsure, and how sure to sound: chosen on validation cells, by what is planted in them."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as reference

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import DataError, OptionError
from cellwright.metrics.ece import ece
from cellwright.models import build
from cellwright.tasks.classify import UNSURE, classify, score_classification, unsure_label
from cellwright.tasks.confidence import Confidence, confidence_of, fitted_temperature, scaled, threshold_for
from cellwright.train.fit import fit

SPLIT = random_split(200, validation=0.3, test=0.3)


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=200, n_vars=20, n_latent=3, label_shares=(0.5, 0.3, 0.2), label_distance=2.0)
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def source(cells):
    return open_data(cells, label_key="label")


@pytest.fixture(scope="module")
def model(source):
    model = build("logistic", source.schema, n_latent=3)
    fit(model, source, split=SPLIT, progress=False)
    return model


def drawn(n=4_000, sharpness=1.0, seed=0):
    """Probabilities that a label is drawn from, then their logits multiplied: too sure by that factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 4))
    codes = (softmax(logits, axis=1).cumsum(axis=1) > rng.random(n)[:, None]).argmax(axis=1)
    return softmax(sharpness * logits, axis=1).astype(np.float32), codes


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_is_how_much_too_sure_the_probabilities_are(sharpness):
    probabilities, codes = drawn(sharpness=sharpness)
    temperature = fitted_temperature(probabilities, codes)
    assert temperature == pytest.approx(sharpness, rel=0.06)
    held_out, labels = drawn(sharpness=sharpness, seed=1)
    assert ece(labels, scaled(held_out, temperature)) < 0.025


def test_scaling_keeps_the_answers_their_sum_and_what_is_impossible():
    probabilities = np.array([[0.7, 0.3, 0.0], [0.2, 0.2, 0.6]], dtype=np.float32)
    warmer = scaled(probabilities, 2.0)
    assert warmer.dtype == np.float32
    np.testing.assert_allclose(warmer.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(warmer[0], [0.7**0.5 / (0.7**0.5 + 0.3**0.5), 0.3**0.5 / (0.7**0.5 + 0.3**0.5), 0])
    np.testing.assert_allclose(scaled(warmer, 0.5), probabilities, rtol=1e-5)
    assert scaled(probabilities, 1.0) is probabilities


def test_the_threshold_is_the_lowest_that_reaches_the_accuracy():
    confidence = np.array([0.9, 0.8, 0.8, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    p, codes = np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)
    found = {asked: threshold_for(p, codes, asked) for asked in (1.0, 0.9, 0.75, 0.7, 0.6)}
    assert found == {1.0: 0.9, 0.9: 0.9, 0.75: 0.6, 0.7: 0.6, 0.6: 0.5}


def test_where_the_surest_cells_are_wrong_nothing_is_answered():
    assert threshold_for(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([1, 1]), 0.9) == math.inf


def test_cells_below_the_threshold_are_unsure_and_keep_their_probabilities(model, source):
    plain, careful = classify(model, source), classify(model, source, threshold=0.8)
    unsure = plain.obs["predicted_probability"].to_numpy() < 0.8
    assert 0 < unsure.sum() < 200
    assert ((careful.obs["predicted"] == UNSURE).to_numpy() == unsure).all()
    assert (careful.obs["predicted"].astype(str) == plain.obs["predicted"].astype(str))[~unsure].all()
    assert careful.obs["predicted"].cat.categories.tolist() == [*source.schema.label.values, UNSURE]
    assert np.array_equal(careful.obsm["predicted_probabilities"], plain.obsm["predicted_probabilities"])
    assert careful.uns["cellwright"]["threshold"] == 0.8


def test_a_label_of_the_data_that_is_called_so_is_not_mistaken_for_it():
    assert unsure_label(["T", "B"]) == "unsure"
    assert unsure_label(["T", "unsure"]) == "cellwright_unsure"


def test_the_confidence_comes_from_validation_cells_alone(model, cells):
    """Other labels of the test cells change nothing, other labels of the validation cells do."""
    asked = {"accuracy": 0.95, "calibrate": True}
    chosen = confidence_of(model, open_data(cells, schema=model.schema), SPLIT, **asked)
    names = {"test": SPLIT.test, "validation": SPLIT.validation}
    changed = {}
    for part, rows in names.items():
        other = cells.copy()
        other.obs.iloc[rows, other.obs.columns.get_loc("label")] = model.schema.label.values[0]
        changed[part] = confidence_of(model, open_data(other, schema=model.schema), SPLIT, **asked)
    assert changed["test"] == chosen
    assert changed["validation"] != chosen


def test_scores_of_the_answered_are_those_of_the_reference(model, source, cells):
    confidence = Confidence(temperature=1.3, threshold=0.8)
    table = score_classification(model, source, SPLIT.test, held_out=True, confidence=confidence)
    overall = table[table["group"] == ""].set_index("metric")["value"]
    said = classify(model, source, temperature=1.3, threshold=0.8)
    obs = said.obs.iloc[SPLIT.test]
    answered = obs[obs["predicted"] != UNSURE]
    assert overall["coverage"] == pytest.approx(len(answered) / len(obs))
    assert overall["answered_accuracy"] == pytest.approx(
        reference.accuracy_score(answered["label"].astype(str), answered["predicted"].astype(str))
    )
    p = said.obsm["predicted_probabilities"][SPLIT.test]
    assert overall["log_loss"] == pytest.approx(reference.log_loss(source.annotation.label[SPLIT.test], p), rel=1e-4)
    by_label = table[(table["metric"] == "coverage") & (table["group"] != "")]
    assert set(by_label["group"]) == set(source.schema.label.values)
    # the accuracy of forced answers is what it is without a threshold
    plain = score_classification(model, source, SPLIT.test, held_out=True)
    assert overall["accuracy"] == plain.set_index("metric")["value"]["accuracy"]


def test_without_an_answer_there_is_coverage_of_zero_and_no_accuracy(model, source):
    table = score_classification(model, source, SPLIT.test, held_out=True, confidence=Confidence(threshold=math.inf))
    assert table[(table["metric"] == "coverage")]["value"].eq(0).all()
    assert "answered_accuracy" not in set(table["metric"])


@pytest.mark.parametrize("value", [-0.1, math.nan, 95.0])
def test_a_threshold_that_is_no_probability_is_refused(model, source, value):
    with pytest.raises(OptionError, match="threshold of classify must be a probability"):
        classify(model, source, threshold=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
def test_a_temperature_that_is_none_is_refused(model, source, value):
    with pytest.raises(OptionError, match="temperature must be a number above 0"):
        classify(model, source, temperature=value)


@pytest.mark.parametrize("value", [0.0, 1.2])
def test_an_accuracy_that_is_no_share_is_refused(value):
    with pytest.raises(OptionError, match="accuracy among the answered must be above 0 and at most 1"):
        threshold_for(np.ones((1, 1)), np.zeros(1), value)


def test_without_validation_cells_there_is_nothing_to_choose_on(model, source):
    with pytest.raises(DataError, match="must be chosen on validation cells with a label; there is none"):
        confidence_of(model, source, random_split(200, validation=0, test=0.5), accuracy=0.9)


def test_few_validation_cells_are_warned_of(model, source):
    few = random_split(200, validation=0.1, test=0.3)
    with pytest.warns(UserWarning, match="few validation cells; there are 20"):
        confidence_of(model, source, few, calibrate=True)
