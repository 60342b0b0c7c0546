"""Balanced NMI is NMI of data in which rare labels are repeated until all are as large."""

import numpy as np
import pytest

from cellwright.metrics.balanced_nmi import balanced_nmi
from cellwright.metrics.nmi import nmi


def test_equals_nmi_where_labels_have_equal_sizes():
    labels = np.repeat(["a", "b", "c"], 20)
    clusters = np.random.default_rng(0).integers(0, 4, 60)
    assert balanced_nmi(labels, clusters) == pytest.approx(nmi(labels, clusters), abs=1e-12)


def test_equals_nmi_of_data_in_which_rare_cells_are_repeated_until_labels_are_equal():
    labels, clusters = np.repeat(["a", "b"], [30, 10]), np.concatenate([np.arange(30) % 3, np.arange(10) % 2])
    copies = np.where(labels == "a", 1, 3)
    expected = nmi(np.repeat(labels, copies), np.repeat(clusters, copies))
    assert balanced_nmi(labels, clusters) == pytest.approx(expected, abs=1e-12)


def test_a_lost_rare_label_costs_as_much_as_a_lost_common_one():
    labels = np.repeat(["common", "rare", "other"], [980, 10, 9])
    equal = nmi(np.repeat(["common", "rare", "other"], 333), np.repeat([0, 1, 1], 333))
    assert balanced_nmi(labels, np.repeat([0, 1, 1], [980, 10, 9])) == pytest.approx(equal, abs=1e-12)


def test_one_label_and_one_cluster_agree():
    assert balanced_nmi(["a", "a"], [0, 0]) == 1
