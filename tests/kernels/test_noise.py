"""The oracle is the plain path: the same hash, in torch's 64-bit integers."""

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.kernels import noise as kernels

KEYS = [NoiseKey(0), NoiseKey(3, 1, 4), NoiseKey(2**63 - 1, 10**6, 10**9)]
# row numbers of every size, and not in order
ROWS = torch.tensor([7, 0, 1, 2**31 - 1, 2**31, 2**40, 12345, 3])
every_key = pytest.mark.parametrize("key", KEYS, ids=str)


def _by(monkeypatch, backend, draw):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", backend)
    return draw()


@every_key
@pytest.mark.parametrize("width", [1, 2, 5, 64, 1_001])
@pytest.mark.parametrize("stream", [0, 3])
def test_uniform_numbers_are_the_plain_paths_bit_for_bit(monkeypatch, key, width, stream):
    got, expected = (_by(monkeypatch, name, lambda: key.uniform(ROWS, width, stream)) for name in ("numba", "torch"))
    assert got.dtype == expected.dtype
    assert torch.equal(got, expected)


@every_key
def test_uniform_numbers_at_places_are_the_plain_paths_bit_for_bit(monkeypatch, key):
    columns = torch.from_numpy(np.random.default_rng(0).integers(0, 2**31 - 1, 8))
    got, expected = (_by(monkeypatch, name, lambda: key.uniform_at(ROWS, columns)) for name in ("numba", "torch"))
    assert torch.equal(got, expected)


def test_rows_and_columns_of_int32_give_the_numbers_of_int64(monkeypatch):
    rows, columns = torch.tensor([5, 9, 2]), torch.tensor([0, 4, 100_000])
    draws = [
        _by(monkeypatch, name, lambda dtype=dtype: NoiseKey(1).uniform_at(rows.to(dtype), columns.to(dtype)))
        for name in ("numba", "torch")
        for dtype in (torch.int32, torch.int64)
    ]
    assert all(torch.equal(draw, draws[0]) for draw in draws)


@every_key
@pytest.mark.parametrize("width", [1, 2, 5, 64, 1_001])
def test_normal_numbers_are_the_plain_paths_within_rounding(monkeypatch, key, width):
    got, expected = (_by(monkeypatch, name, lambda: key.normal(ROWS, width)) for name in ("numba", "torch"))
    assert got.dtype == expected.dtype
    # the angle, up to 2 pi, is rounded to float32 (2.4e-7) and its sine multiplied by a radius of at most 6
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=6 * 2.4e-7)


def test_no_rows_and_no_columns_give_no_numbers(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")
    none = torch.arange(0)
    assert NoiseKey(0).normal(none, 3).shape == (0, 3)
    assert NoiseKey(0).normal(ROWS, 0).shape == (8, 0)
    assert NoiseKey(0).uniform(none, 3).shape == (0, 3)
    assert NoiseKey(0).uniform_at(none, none).shape == (0,)


def test_plain_torch_calls_no_kernel(monkeypatch):
    def refuse(*_):
        raise AssertionError("a kernel was called")

    for name in ("normal", "uniform_at"):
        monkeypatch.setattr(kernels, name, refuse)
    for draw in (NoiseKey(0).normal, NoiseKey(0).uniform):
        with pytest.raises(AssertionError, match="a kernel was called"):
            _by(monkeypatch, "numba", lambda draw=draw: draw(ROWS, 3))
        assert _by(monkeypatch, "torch", lambda draw=draw: draw(ROWS, 3)).shape == (8, 3)
