"""The shifts of means in closed form, against the published resampling, and by brute force."""

import numpy as np
import pytest
import torch

from cellwright.core.schema import Categories, Schema
from cellwright.errors import DataError, OptionError
from cellwright.models.parts.mean_shift import (
    TEMPERATURES,
    BalancedShift,
    CommonShift,
    MeanShift,
    RawShift,
    SharedShift,
    SimilarShift,
    chosen_temperature,
    similarity,
    weights_of,
)
from cellwright.models.parts.responses import Means, Responses

EVERY = (RawShift(), BalancedShift(), SharedShift(), SimilarShift(), CommonShift())


def schema_of(n_labels, conditions=("control", "treated")):
    return Schema(
        features={"X": ("g1", "g2")},
        label=Categories(key="label", values=tuple(f"type_{k}" for k in range(n_labels))),
        condition=Categories(key="condition", values=conditions),
        control="control",
    )


def means_of(mean, weight, schema):
    """A shift of means looks at no variance."""
    return Means(mean=mean, variance=np.full_like(mean, np.nan), weight=weight, control=0, schema=schema)


# types 0 and 1 have both sides, 2 is held out: it has control cells only
CONTROL = np.array([[0.0, 0.0], [4.0, 2.0], [10.0, 6.0]])
TREATED = np.array([[1.0, 0.0], [7.0, 4.0], [1e6, 1e6]])
HAND = means_of(np.stack([CONTROL, TREATED], axis=1), np.array([[10.0, 2.0], [30.0, 6.0], [60.0, 0.0]]), schema_of(3))


def test_raw_is_the_difference_of_the_means_of_all_cells():
    treated = (2 * TREATED[0] + 6 * TREATED[1]) / 8
    control = (10 * CONTROL[0] + 30 * CONTROL[1] + 60 * CONTROL[2]) / 100
    np.testing.assert_allclose(RawShift().of_label(HAND, 2, 1), treated - control)


def test_balanced_counts_labels_once_and_keeps_the_held_out_one_on_the_control_side():
    expected = TREATED[:2].mean(axis=0) - CONTROL.mean(axis=0)
    np.testing.assert_allclose(BalancedShift().of_label(HAND, 2, 1), expected)


def test_shared_is_the_mean_change_of_the_labels_with_both_sides():
    np.testing.assert_allclose(SharedShift().of_label(HAND, 2, 1), [(1 + 3) / 2, (0 + 2) / 2])


def test_common_is_the_mean_over_treatments_of_what_labels_with_both_sides_did():
    """The second treatment is known of all three labels; each treatment counts once, however many cells it has."""
    other = np.array([[0.0, 3.0], [4.0, 2.0], [10.0, 3.0]])  # changes of 3, 0 and -3 in the second point
    mean = np.stack([CONTROL, TREATED, other], axis=1)
    weight = np.array([[10.0, 2.0, 500.0], [30.0, 6.0, 1.0], [60.0, 0.0, 7.0]])
    means = means_of(mean, weight, schema_of(3, ("control", "one", "other")))
    first, second = SharedShift().of_label(means, 2, 1), SharedShift().of_label(means, 2, 2)
    np.testing.assert_allclose([first, second], [[2, 1], [0, 0]])
    for label in range(3):
        for condition in (1, 2):
            np.testing.assert_allclose(CommonShift().of_label(means, label, condition), [1, 0.5])


def test_common_is_shared_where_there_is_one_treatment():
    np.testing.assert_array_equal(CommonShift().of_label(HAND, 2, 1), SharedShift().of_label(HAND, 2, 1))


def test_without_any_response_only_shifts_over_labels_with_both_sides_are_zero():
    """The held-out label makes the others' composition look like a response."""
    still = means_of(np.stack([CONTROL, CONTROL], axis=1), HAND.weight, HAND.schema)
    assert np.abs(RawShift().of_label(still, 2, 1)).min() > 1
    assert np.abs(BalancedShift().of_label(still, 2, 1)).min() > 1
    for options in (SharedShift(), SimilarShift(), SimilarShift(temperature=10)):
        np.testing.assert_array_equal(options.of_label(still, 2, 1), 0)


def published(points, label, condition, rng):
    """The arithmetic of [Lotfollahi19], line by line: every type upsampled to the largest, sides cut to one size."""
    sides = []
    for side in (0, 1):
        types = [points[(label == code) & (condition == side)] for code in np.unique(label[condition == side])]
        largest = max(len(cells) for cells in types)
        sides.append(np.concatenate([cells[rng.choice(len(cells), largest)] for cells in types]))
    size = min(len(cells) for cells in sides)
    control, treated = (cells[rng.choice(len(cells), size, replace=False)] for cells in sides)
    return treated.mean(axis=0) - control.mean(axis=0)


def test_balanced_is_what_the_published_resampling_gives_in_the_mean():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2, 0, 1], [5, 20, 9, 12, 4])
    condition = np.repeat([0, 1], [34, 16])
    points = rng.normal(size=(50, 2)) + np.array([[0, 0], [4, 2], [10, 6]])[label] + condition[:, None]
    responses = Responses(points, label, condition, np.ones(50), schema_of(3))
    found = BalancedShift().of_label(responses.means, 2, 1)
    draws = np.array([published(points, label, condition, np.random.default_rng(seed)) for seed in range(2000)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - found) < 4 * error).all()
    assert (np.abs(RawShift().of_label(responses.means, 2, 1) - found) > 20 * error).all()


def random_means(seed, n_labels=6, n_points=12):
    """Labels whose changes follow their control means, more or less; the last is held out."""
    rng = np.random.default_rng(seed)
    control = rng.normal(size=(n_labels, n_points))
    change = control @ rng.normal(size=(n_points, n_points)) * rng.uniform(0, 1) + rng.normal(size=n_points)
    weight = np.ones((n_labels, 2))
    weight[-1, 1] = 0
    return means_of(np.stack([control, control + change], axis=1), weight, schema_of(n_labels))


def test_weights_sum_to_one_and_rise_with_the_similarity():
    similarities = np.array([0.9, 0.99, 0.5])
    for temperature in (*TEMPERATURES, 1e6):
        weights = weights_of(similarities, temperature)
        np.testing.assert_allclose(weights.sum(), 1)
        assert weights.argmax() == 1 or temperature == 0
    np.testing.assert_allclose(weights_of(similarities, 10.0)[0] / weights_of(similarities, 10.0)[2], np.exp(4))


def test_similarity_is_the_correlation_of_control_means():
    means = random_means(0)
    expected = np.corrcoef(means.mean[:, 0])[5, :5]
    np.testing.assert_allclose(similarity(means, np.arange(5), 5), expected)


def test_similar_at_temperature_zero_is_shared():
    means = random_means(0)
    np.testing.assert_allclose(SimilarShift(temperature=0).of_label(means, 5, 1), SharedShift().of_label(means, 5, 1))


def test_similar_at_a_large_temperature_is_the_change_of_the_nearest_label():
    means = random_means(0)
    nearest = np.corrcoef(means.mean[:, 0])[5, :5].argmax()
    expected = means.mean[nearest, 1] - means.mean[nearest, 0]
    np.testing.assert_allclose(SimilarShift(temperature=1e5).of_label(means, 5, 1), expected)


def left_out_error(means, temperature):
    """The squared error of the change of each label with both sides, from the others, summed; written plainly."""
    error = 0.0
    for label in range(5):
        others = [other for other in range(5) if other != label]
        r = np.array([np.corrcoef(means.mean[other, 0], means.mean[label, 0])[0, 1] for other in others])
        share = np.exp(temperature * r) / np.exp(temperature * r).sum()
        change = means.mean[:, 1] - means.mean[:, 0]
        predicted = sum(w * change[other] for w, other in zip(share, others, strict=True))
        error += np.square(predicted - change[label]).sum()
    return error


def test_the_temperature_has_the_least_error_over_left_out_labels():
    chosen = []
    for seed in range(20):
        means = random_means(seed)
        errors = [left_out_error(means, temperature) for temperature in TEMPERATURES]
        chosen.append(TEMPERATURES[int(np.argmin(errors))])
        assert chosen_temperature(means, means.shared(1), 1) == chosen[-1]
        expected = SimilarShift(temperature=chosen[-1]).of_label(means, 5, 1)
        np.testing.assert_array_equal(SimilarShift().of_label(means, 5, 1), expected)
    assert len(set(chosen)) > 2  # else the test could not tell a choice from a constant


def test_the_held_out_label_has_no_part_in_the_choice_of_the_temperature():
    means = random_means(3)
    changed = means.mean.copy()
    changed[5] = 100 * np.random.default_rng(0).normal(size=changed[5].shape)
    other = means_of(changed, means.weight, means.schema)
    assert chosen_temperature(means, means.shared(1), 1) == chosen_temperature(other, other.shared(1), 1)


def learnt(options, means=HAND):
    shift = MeanShift(options, means.schema, means.mean.shape[2])
    shift.learn_from(means)
    return shift


@pytest.mark.parametrize("options", EVERY, ids=lambda options: options.name)
def test_every_cell_of_a_label_moves_alike_and_none_under_control(options):
    shift = learnt(options)
    points, label = torch.randn(4, 2), torch.tensor([2, 0, 2, 2])
    found = shift(points, label, torch.tensor([1, 1, 1, 0]))
    np.testing.assert_allclose(found[0].numpy(), options.of_label(HAND, 2, 1), rtol=1e-6)
    assert torch.equal(found[0], found[2])
    np.testing.assert_allclose(found[1].numpy(), options.of_label(HAND, 0, 1), rtol=1e-6)
    assert (found[3] == 0).all()


@pytest.mark.parametrize("options", [one for one in EVERY if one.name != "common"], ids=lambda options: options.name)
def test_conditions_do_not_mix(options):
    """Of three conditions each has the shift that it has among two."""
    rng = np.random.default_rng(0)
    schema = schema_of(4, ("control", "first", "second"))
    mean = rng.normal(size=(4, 3, 5))
    weight = np.array([[3, 2, 2], [4, 3, 0], [5, 1, 4], [2, 0, 3]], dtype=float)
    three = learnt(options, means_of(mean, weight, schema))
    for condition in (1, 2):
        sides = [0, condition]
        two = learnt(options, means_of(mean[:, sides], weight[:, sides], schema_of(4)))
        assert torch.equal(three.table[:, condition], two.table[:, 1])


@pytest.mark.parametrize("options", EVERY, ids=lambda options: options.name)
def test_a_condition_that_one_label_has_on_both_sides_changes_nothing_and_is_refused_when_it_is_asked_for(options):
    rng = np.random.default_rng(0)
    mean, weight = rng.normal(size=(4, 3, 5)), np.array([[3, 2, 2], [4, 3, 0], [5, 1, 0], [2, 0, 0]], dtype=float)
    three = learnt(options, means_of(mean, weight, schema_of(4, ("control", "first", "rare"))))
    two = learnt(options, means_of(mean[:, :2], weight[:, :2], schema_of(4)))
    assert torch.equal(three.table[:, 1], two.table[:, 1])
    assert (three.table[:, 2] == 0).all()
    with pytest.raises(DataError, match="2 labels or more with cells of both 'control' and 'rare'; type_0 is the only"):
        three(torch.zeros(1, 5), torch.tensor([0]), torch.tensor([2]))


@pytest.mark.parametrize("options", EVERY, ids=lambda options: options.name)
def test_a_single_label_with_both_sides_is_refused(options):
    weight = HAND.weight.copy()
    weight[1, 1] = 0
    with pytest.raises(DataError, match="2 labels or more"):
        learnt(options, means_of(HAND.mean, weight, HAND.schema))


def test_learning_again_forgets_the_first_training():
    shift = learnt(SharedShift())
    weight = HAND.weight.copy()
    weight[2, 0] = 0
    shift.learn_from(means_of(HAND.mean, weight, HAND.schema))
    assert (shift.table[2] == 0).all()
    with pytest.raises(DataError, match="type_2"):
        shift(torch.zeros(1, 2), torch.tensor([2]), torch.tensor([1]))


def test_a_negative_temperature_is_refused():
    with pytest.raises(OptionError, match="temperature"):
        SimilarShift(temperature=-1)
