"""The test equals SciPy's, for sparse and dense values alike, with ties and with negative values."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu

from cellwright.metrics import rank_sum as module
from cellwright.metrics.rank_sum import rank_sum

RNG = np.random.default_rng(0)
VALUES = np.where(RNG.random((60, 9)) < 0.5, 0.0, RNG.integers(-3, 4, (60, 9)))
CODES = RNG.integers(0, 3, 60)
MEMBERSHIP = sparse.csr_matrix((np.ones(60), (np.arange(60), CODES)))


@pytest.mark.parametrize("values", [VALUES, sparse.csr_matrix(VALUES)], ids=["dense", "sparse"])
def test_equals_scipys_mann_whitney_test_of_each_group_against_the_others(values, monkeypatch):
    monkeypatch.setattr(module, "FEATURES_AT_ONCE", 4)
    found = rank_sum(values, MEMBERSHIP)
    for code in range(3):
        inside, outside = VALUES[code == CODES], VALUES[code != CODES]
        u, p = mannwhitneyu(inside, outside, axis=0, use_continuity=False, method="asymptotic")
        np.testing.assert_allclose(found["effect_size"][code], u / (len(inside) * len(outside)))
        np.testing.assert_allclose(found["p_value"][code], p, rtol=1e-9)
        np.testing.assert_allclose(found["p_adjusted"][code], false_discovery_control(p), rtol=1e-9)


def test_a_feature_without_differences_has_a_p_value_of_one():
    assert rank_sum(np.zeros((60, 1)), MEMBERSHIP)["p_value"].tolist() == [[1.0]] * 3


def test_a_group_of_one_cell_has_no_p_value():
    alone = sparse.csr_matrix((np.ones(60), (np.arange(60), np.repeat([0, 1], [1, 59]))))
    found = rank_sum(VALUES, alone)
    assert np.isnan(found["p_value"][0]).all()
    assert np.isfinite(found["p_value"][1]).all()
