"""The mean over features of the correlation over cells."""

import numpy as np
import pytest
from scipy import stats

from cellwright.errors import DataError
from cellwright.metrics.feature_pearson import correlations, feature_pearson

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(30, 4))
PREDICTED = TRUE + RNG.normal(size=TRUE.shape)


def test_each_column_is_scipys():
    expected = [stats.pearsonr(TRUE[:, j], PREDICTED[:, j]).statistic for j in range(4)]
    np.testing.assert_allclose(correlations(TRUE, PREDICTED), expected)
    assert feature_pearson(TRUE, PREDICTED) == pytest.approx(np.mean(expected))


def test_scale_and_offset_of_a_feature_do_not_matter():
    assert feature_pearson(TRUE, PREDICTED * [1, 2, 30, 4] - 7) == pytest.approx(feature_pearson(TRUE, PREDICTED))


def test_a_feature_that_never_varies_does_not_count_and_one_predicted_constant_counts_zero():
    true, predicted = TRUE.copy(), PREDICTED.copy()
    true[:, 0] = 3
    rest = correlations(TRUE, PREDICTED)[1:]
    assert feature_pearson(true, predicted) == pytest.approx(rest.mean())
    predicted[:, 1] = 5
    assert feature_pearson(true, predicted) == pytest.approx((0 + rest[1:].sum()) / 3)


def test_no_feature_that_varies_is_refused():
    with pytest.raises(DataError, match="needs a feature that varies"):
        feature_pearson(np.ones((4, 2)), TRUE[:4, :2])
