"""Noise is a function of (seed, epoch, step, stream, row, column), and looks random."""

import numpy as np
import pytest
import torch
from scipy import stats

from cellwright.core.noise import NoiseKey

ROWS = torch.arange(200_000)


def test_uniform_numbers_pass_a_kolmogorov_smirnov_test():
    numbers = NoiseKey(1, 2, 3).uniform(ROWS, 2).numpy()
    for column in numbers.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4


def test_normal_numbers_pass_a_kolmogorov_smirnov_test_in_every_column():
    numbers = NoiseKey(1, 2, 3).normal(ROWS, 5).numpy()
    for column in numbers.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4


def test_columns_and_neighbouring_rows_are_uncorrelated():
    numbers = NoiseKey(7).normal(ROWS, 6).numpy()
    both = np.hstack([numbers[:-1], numbers[1:]])
    off = np.corrcoef(both.T)[~np.eye(12, dtype=bool)]
    # the standard error of a correlation of independent numbers is 1 / sqrt(n); 5 of them for 132 comparisons
    assert np.abs(off).max() < 5 / np.sqrt(len(both))


def test_noise_does_not_depend_on_which_rows_stand_beside_a_row():
    key = NoiseKey(3, 1, 4)
    together = key.normal(torch.tensor([5, 9, 2]), 4)
    alone = key.normal(torch.tensor([9]), 4)
    assert torch.equal(together[1:2], alone)


OTHERS = {"seed": NoiseKey(1, 0, 0), "epoch": NoiseKey(0, 1, 0), "step": NoiseKey(0, 0, 1)}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_key_gives_unrelated_noise(other):
    a, b = NoiseKey(0, 0, 0).normal(ROWS, 1), other.normal(ROWS, 1)
    assert abs(float((a * b).mean())) < 5 / np.sqrt(len(ROWS))


def test_another_stream_gives_unrelated_noise():
    a, b = NoiseKey(0).normal(ROWS, 1), NoiseKey(0).normal(ROWS, 1, stream=1)
    assert abs(float((a * b).mean())) < 5 / np.sqrt(len(ROWS))


def test_uniform_at_single_places_is_what_the_whole_has_there():
    key, rows, columns = NoiseKey(2), torch.tensor([3, 3, 8]), torch.tensor([0, 4, 2])
    whole = key.uniform(torch.arange(10), 5)
    assert torch.equal(key.uniform_at(rows, columns), whole[rows, columns])


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_the_largest_uniform_number_is_below_one(kernels, monkeypatch):
    """In this row all 24 bits are set, to which float32 cannot add a half."""
    monkeypatch.setenv("CELLWRIGHT_KERNELS", kernels)
    number = NoiseKey(0).uniform(torch.tensor([3_478_412]), 1)
    assert number.item() == 1 - 2**-24
