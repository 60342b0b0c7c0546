from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.metrics.ari import ari

partitions = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 3), min_size=n, max_size=n) for _ in range(2)])
)


def by_counting_pairs(labels, clusters):
    """Hubert and Arabie's index, from the definition: every pair of cells is looked at."""
    pairs = list(combinations(range(len(labels)), 2))
    same_label = np.array([labels[i] == labels[j] for i, j in pairs], dtype=bool)
    same_cluster = np.array([clusters[i] == clusters[j] for i, j in pairs], dtype=bool)
    expected = same_label.sum() * same_cluster.sum() / max(len(pairs), 1)
    highest = (same_label.sum() + same_cluster.sum()) / 2
    return 1.0 if highest == expected else ((same_label & same_cluster).sum() - expected) / (highest - expected)


@given(partitions)
def test_equals_the_definition_over_pairs_of_cells(pair):
    assert ari(*pair) == pytest.approx(by_counting_pairs(*pair), abs=1e-12)


@given(partitions)
def test_is_symmetric(pair):
    assert ari(pair[0], pair[1]) == pytest.approx(ari(pair[1], pair[0]), abs=1e-12)


def test_is_lowest_where_every_pair_that_is_together_is_split():
    assert ari(["a", "a", "b", "b"], [0, 1, 0, 1]) == pytest.approx(-0.5)


def test_is_zero_for_a_single_cluster_over_several_labels():
    assert ari(["a", "a", "b"], [0, 0, 0]) == 0


@pytest.mark.parametrize("n_obs", [1, 2, 5])
def test_one_label_in_one_cluster_is_full_agreement(n_obs):
    assert ari(["a"] * n_obs, [0] * n_obs) == 1
