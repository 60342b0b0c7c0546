import numpy as np
import pytest

from cellwright.metrics.nmi import nmi


def entropy(p):
    p = p[p > 0]
    return -(p * np.log(p)).sum()


def test_equals_the_mutual_information_over_the_mean_entropy():
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    joint = np.zeros((4, 3))
    np.add.at(joint, (labels, clusters), 1 / 200)
    h_labels, h_clusters = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    information = h_labels + h_clusters - entropy(joint.ravel())
    assert nmi(labels, clusters) == pytest.approx(2 * information / (h_labels + h_clusters))


def test_is_zero_for_independent_partitions():
    assert nmi(["a", "a", "b", "b"], [0, 1, 0, 1]) == pytest.approx(0, abs=1e-12)
