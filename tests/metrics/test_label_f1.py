import numpy as np
import pytest
from sklearn.metrics import f1_score

from cellwright.metrics.label_f1 import f1_by_label, label_f1


def test_each_label_has_the_highest_f1_over_clusters():
    rng = np.random.default_rng(0)
    labels, clusters = rng.choice(["a", "b", "c"], 100), rng.integers(0, 5, 100)
    expected = {name: max(f1_score(labels == name, clusters == k) for k in range(5)) for name in "abc"}
    assert f1_by_label(labels, clusters) == pytest.approx(expected)


def test_the_mean_over_labels_counts_a_rare_one_as_much_as_a_common_one():
    labels = np.repeat(["common", "rare"], [99, 1])
    clusters = np.zeros(100)
    # 2 * 99 / (99 + 100) and 2 * 1 / (1 + 100)
    assert label_f1(labels, clusters) == pytest.approx((198 / 199 + 2 / 101) / 2)
