"""The discrepancy equals its definition, is unbiased where the distributions are equal, and known for Gaussians."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from cellwright.errors import DataError
from cellwright.metrics.mmd import FACTORS, mmd, unbiased_mmd


def normal(n_obs, seed, n_vars=3):
    return np.random.default_rng(seed).normal(size=(n_obs, n_vars))


def by_definition(real, generated):
    """[Gretton12, equation 3], pair by pair; three features need no components."""
    both = np.concatenate([real, generated])
    distances = [((both[i] - both[j]) ** 2).sum() for i in range(len(both)) for j in range(i)]
    typical = np.median(distances)

    def kernel(a, b):
        return np.mean([rbf_kernel(a, b, gamma=1 / (2 * factor**2 * typical)) for factor in FACTORS], axis=0)

    def without_self(values):
        k = kernel(values, values)
        return k[~np.eye(len(values), dtype=bool)].mean()

    return without_self(real) + without_self(generated) - 2 * kernel(real, generated).mean()


def test_equals_its_definition_with_sides_of_different_size():
    real, generated = normal(30, 0), 1.5 * normal(20, 1) + 0.3
    assert unbiased_mmd(real, generated) == pytest.approx(by_definition(real, generated), abs=1e-9)


def test_is_unbiased_around_zero_for_equal_distributions():
    found = np.array([unbiased_mmd(normal(40, seed), normal(40, 1000 + seed)) for seed in range(100)])
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(100)
    assert (found < 0).any()
    assert (found > 0).any()


def test_below_zero_it_is_zero():
    real, generated = next(
        (normal(40, seed), normal(40, 1000 + seed))
        for seed in range(100)
        if unbiased_mmd(normal(40, seed), normal(40, 1000 + seed)) < 0
    )
    assert mmd(real, generated) == 0


def test_for_samples_far_apart_it_is_the_sum_of_both_sides_own_similarity():
    """Two points a distance d apart: the median distance is d, k = mean exp(-1 / (2 factor^2)), MMD^2 = 2 - 2 k."""
    real, generated = normal(500, 0) * 1e-4, normal(500, 1) * 1e-4 + 1.0
    k = np.mean(np.exp(-0.5 / np.array(FACTORS) ** 2))
    assert mmd(real, generated) == pytest.approx(2 - 2 * k, rel=1e-3)


def test_grows_with_a_shift_and_with_a_loss_of_spread():
    real, same = normal(300, 0), normal(300, 1)
    assert mmd(real, same) < mmd(real, same + 0.5) < mmd(real, same + 2)
    assert mmd(real, same) < mmd(real, 0.7 * same) < mmd(real, 0.2 * same)


def test_equal_cells_are_refused_in_a_sentence():
    with pytest.raises(DataError, match="mmd needs cells that differ"):
        mmd(np.ones((9, 3)), np.ones((9, 3)))
