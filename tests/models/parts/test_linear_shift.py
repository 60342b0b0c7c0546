"""The linear shift is scikit-learn's ridge regression over labels, its penalty the best over left-out labels."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from cellwright.core.schema import Categories, Schema
from cellwright.models.parts.linear_shift import PENALTIES, LinearShift, chosen_penalty, ridge_weights
from cellwright.models.parts.mean_shift import SharedShift
from cellwright.models.parts.responses import Means

N_LABELS, HELD_OUT = 7, 6
SCHEMA = Schema(
    features={"X": ("g",)},
    label=Categories(key="label", values=tuple("abcdefg")),
    condition=Categories(key="condition", values=("control", "treated")),
    control="control",
)


def means_of(control, treated, weight):
    """A shift of means looks at no variance."""
    mean = np.stack([control, treated], axis=1)
    return Means(mean=mean, variance=np.full_like(mean, np.nan), weight=weight, control=0, schema=SCHEMA)


def planted(seed, noise):
    """Changes that are a linear function of the control means, plus noise."""
    rng = np.random.default_rng(seed)
    control = 3 + rng.normal(size=(N_LABELS, 20))
    change = 1 + control @ rng.normal(size=(20, 20)) + noise * rng.normal(size=(N_LABELS, 20))
    weight = np.ones((N_LABELS, 2))
    weight[HELD_OUT, 1] = 0
    return means_of(control, control + change, weight)


def sides(means):
    return means.mean[:HELD_OUT, 0], means.mean[:HELD_OUT, 1] - means.mean[:HELD_OUT, 0]


def mean_square(control):
    return np.square(control - control.mean(axis=0)).sum(axis=1).mean()


def by_ridge(control, change, wanted, penalty):
    model = Ridge(alpha=penalty * mean_square(control), solver="cholesky").fit(control, change)
    return model.predict(wanted[None])[0]


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 1.0, 100.0])
def test_weights_of_labels_are_ridge_regression(penalty):
    means = planted(0, 1.0)
    control, change = sides(means)
    wanted = means.mean[HELD_OUT, 0]
    found = ridge_weights(control, wanted, penalty) @ change
    np.testing.assert_allclose(found, by_ridge(control, change, wanted, penalty), rtol=1e-6)
    centre = control.mean(axis=0)
    kernel = KernelRidge(alpha=penalty * mean_square(control)).fit(control - centre, change - change.mean(axis=0))
    np.testing.assert_allclose(found, change.mean(axis=0) + kernel.predict([wanted - centre])[0], rtol=1e-6)


def test_weights_sum_to_one_and_are_equal_under_a_large_penalty():
    means = planted(0, 1.0)
    control, _ = sides(means)
    for penalty in PENALTIES:
        np.testing.assert_allclose(ridge_weights(control, means.mean[HELD_OUT, 0], penalty).sum(), 1)
    np.testing.assert_allclose(ridge_weights(control, means.mean[HELD_OUT, 0], 1e12), 1 / HELD_OUT)


def test_without_a_penalty_a_label_that_was_trained_on_has_its_own_change():
    control, _ = sides(planted(0, 1.0))
    np.testing.assert_allclose(ridge_weights(control, control[2], 1e-9), np.eye(HELD_OUT)[2], atol=1e-6)


def left_out_error(means, penalty):
    control, change = sides(means)
    error = 0.0
    for label in range(HELD_OUT):
        others = np.arange(HELD_OUT) != label
        error += np.square(by_ridge(control[others], change[others], control[label], penalty) - change[label]).sum()
    return error


def test_the_penalty_has_the_least_error_over_left_out_labels():
    chosen = set()
    for seed in range(20):
        means = planted(seed, noise=float(seed))
        best = PENALTIES[int(np.argmin([left_out_error(means, penalty) for penalty in PENALTIES]))]
        assert chosen_penalty(means, means.shared(1), 1) == best
        control, change = sides(means)
        expected = by_ridge(control, change, means.mean[HELD_OUT, 0], best)
        np.testing.assert_allclose(LinearShift().of_label(means, HELD_OUT, 1), expected, rtol=1e-6)
        chosen.add(best)
    assert len(chosen) > 2


def test_labels_that_look_alike_give_the_mean_change():
    """Nothing to regress on: no division by zero, and every label counts alike."""
    means = planted(0, 1.0)
    control = np.repeat(means.mean[:1, 0], N_LABELS, axis=0)
    same = means_of(control, means.mean[:, 1], means.weight)
    np.testing.assert_allclose(LinearShift().of_label(same, HELD_OUT, 1), SharedShift().of_label(same, HELD_OUT, 1))


def test_with_two_labels_to_learn_from_the_largest_penalty_is_taken():
    """Each is predicted from the other alone: nothing tells penalties apart, and the change is about the mean one."""
    means = planted(0, 1.0)
    weight = means.weight.copy()
    weight[2:, 1] = 0
    two = means_of(means.mean[:, 0], means.mean[:, 1], weight)
    assert chosen_penalty(two, two.shared(1), 1) == PENALTIES[-1]
    mean_change, length = SharedShift().of_label(two, HELD_OUT, 1), np.linalg.norm(two.change(two.shared(1), 1))
    found = LinearShift().of_label(two, HELD_OUT, 1)
    assert np.linalg.norm(found - mean_change) < 1e-3 * length
