"""PC regression without components equals that over all of them; nothing to take away is no score."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from cellwright.errors import DataError
from cellwright.metrics.pc_regression import batch_share, pc_regression


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 3, 90)
    return rng.normal(size=(90, 4)), rng.normal(size=(3, 4))[batches], batches


def by_components(latent: np.ndarray, batches: np.ndarray) -> float:
    pca = PCA().fit(latent)
    components, indicators = pca.transform(latent), np.eye(3)[batches]
    r2 = [LinearRegression().fit(indicators, column).score(indicators, column) for column in components.T]
    return float(np.average(r2, weights=pca.explained_variance_))


def test_the_share_equals_the_regression_of_every_component(cells):
    noise, shift, batches = cells
    assert batch_share(noise + shift, batches) == pytest.approx(by_components(noise + shift, batches), abs=1e-12)


def test_is_one_where_all_was_taken_away_zero_where_nothing_was_or_more_is_there(cells):
    noise, shift, batches = cells
    means = np.stack([noise[batches == code].mean(axis=0) for code in range(3)])
    assert pc_regression(noise + shift, noise - means[batches], batches) == pytest.approx(1, abs=1e-12)
    assert pc_regression(noise + shift, noise + shift, batches) == 0
    assert pc_regression(noise + shift, noise + 9 * shift, batches) == 0


def test_is_the_share_of_the_share_that_was_taken_away():
    """Before, half of the sum of squares lies between batches (means -1 and 1, cells 1 around); after, a fifth."""
    batches, around = np.repeat([0, 1], 4), np.tile([1.0, -1.0], 4)
    before, after = (around + size * (2 * batches - 1) for size in (1.0, 0.5))
    assert batch_share(before[:, None], batches) == pytest.approx(1 / 2)
    assert batch_share(after[:, None], batches) == pytest.approx(1 / 5)
    assert pc_regression(before[:, None], after[:, None], batches) == pytest.approx(3 / 5)


def test_cells_without_a_batch_are_left_out(cells):
    noise, shift, batches = cells
    known = np.arange(90) > 20
    missing = np.where(known, batches, None)
    expected = pc_regression((noise + shift)[known], noise[known], batches[known])
    assert pc_regression(noise + shift, noise, missing) == pytest.approx(expected, abs=1e-12)


def test_where_batches_never_differed_there_is_nothing_to_score(cells):
    noise, _, _ = cells
    twice = np.repeat(noise, 2, axis=0)
    with pytest.raises(DataError, match="explain none of its variance"):
        pc_regression(twice, twice, np.arange(180) % 2)
    with pytest.raises(DataError, match="at least two batches"):
        pc_regression(noise, noise, np.zeros(90))
    with pytest.raises(DataError, match="a row for each of 180 cells"):
        pc_regression(noise, twice, np.arange(180) % 2)
