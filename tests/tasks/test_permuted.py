"""Permuted labels stay in their section; z and p are what their formulas say."""

import numpy as np

from cellwright.tasks.permuted import against, permutations


def test_labels_stay_in_their_section():
    label, section = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1, 1])
    for permuted in permutations(label, section, 20, seed=0):
        assert sorted(permuted[:3]) == [0, 0, 1]
        assert sorted(permuted[3:]) == [2, 2, 3]


def test_another_seed_gives_other_permutations_and_the_same_the_same():
    label, section = np.arange(30), np.zeros(30)
    first, again, other = (next(permutations(label, section, 1, seed)).tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_z_and_p_by_hand():
    null = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = against(np.array([4.0]), null)
    assert found["expected"] == 2.5
    assert found["z"] == 1.5 / np.std([1, 2, 3, 4], ddof=1)
    assert found["p_value"] == 3 / 5  # 1 and 4 are as far, and the observed counts as one


def test_what_does_not_vary_has_no_z_and_p_of_one():
    found = against(np.array([2.0]), np.full((9, 1), 2.0))
    assert np.isnan(found["z"][0])
    assert found["p_value"] == 1
