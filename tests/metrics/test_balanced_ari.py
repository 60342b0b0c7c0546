import numpy as np
import pytest

from cellwright.metrics.ari import ari
from cellwright.metrics.balanced_ari import balanced_ari


def test_equals_ari_where_labels_have_equal_sizes():
    labels = np.repeat(["a", "b", "c"], 20)
    clusters = np.random.default_rng(0).integers(0, 4, 60)
    assert balanced_ari(labels, clusters) == pytest.approx(ari(labels, clusters), abs=1e-12)


def test_equals_ari_of_data_in_which_rare_cells_are_repeated_until_labels_are_equal():
    # sizes 30, 10 and 20, of which the mean is 20: rows are scaled by 2/3, 2 and 1
    labels = np.repeat(["a", "b", "c"], [30, 10, 20])
    clusters = np.concatenate([np.repeat([0, 1], [24, 6]), np.repeat([1, 2], [4, 6]), np.repeat([2, 0], [15, 5])])
    balanced_labels = np.repeat(["a", "b", "c"], 20)
    balanced_clusters = np.concatenate(
        [np.repeat([0, 1], [16, 4]), np.repeat([1, 2], [8, 12]), np.repeat([2, 0], [15, 5])]
    )
    assert balanced_ari(labels, clusters) == pytest.approx(ari(balanced_labels, balanced_clusters), abs=1e-12)


def test_a_lost_rare_label_costs_as_much_as_a_lost_common_one():
    labels = np.repeat(["common", "rare", "other"], [980, 10, 9])
    rare_lost = np.repeat([0, 1, 1], [980, 10, 9])
    assert ari(labels, rare_lost) > 0.99
    # 999 cells of three labels: each counts as 333
    equal = ari(np.repeat(["common", "rare", "other"], 333), np.repeat([0, 1, 1], 333))
    assert balanced_ari(labels, rare_lost) == pytest.approx(equal, abs=1e-12)
