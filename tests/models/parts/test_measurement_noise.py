"""The distance of two measurements, measured from one: a closed form for Poisson counts."""

import numpy as np
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.models.parts.measurement_noise import measurement_noise


def source_of(rates, seed=0):
    counts = np.random.default_rng(seed).poisson(rates).astype(np.float32)
    return open_data(AnnData(sparse.csr_matrix(counts))), counts


def found(source, features):
    return measurement_noise(source, np.arange(source.n_obs), features, np.random.default_rng(1))


def test_of_counts_themselves_it_is_half_their_total():
    """Halves a, b of a Poisson count of rate r: E (a - b)^2 = r; so E |a - b|^2 / 2 is half the library."""
    rates = np.random.default_rng(2).gamma(2, 3, (3000, 12))
    source, counts = source_of(rates)
    assert abs(found(source, lambda m: m.x.dense()) / (counts.sum(axis=1).mean() / 2) - 1) < 0.05


def test_of_shares_it_is_that_of_two_measurements_at_full_depth():
    """Shares of the library, of which a second measurement can be drawn: what is measured is what would be."""
    rates = np.random.default_rng(3).gamma(2, 10, (2000, 12))
    source, _ = source_of(rates)
    first, second = (np.random.default_rng(seed).poisson(rates) for seed in (4, 5))
    shares = [counts / counts.sum(axis=1, keepdims=True) for counts in (first, second)]
    expected = np.square(shares[0] - shares[1]).sum(axis=1).mean()
    assert abs(found(source, lambda m: m.x.dense() / m.library) / expected - 1) < 0.1


def test_it_repeats_under_its_generator():
    source, _ = source_of(np.full((50, 4), 5.0))
    assert found(source, lambda m: m.x.dense()) == found(source, lambda m: m.x.dense())
