"""The oracle is torch's own conversion between float32 and bfloat16."""

import numba
import numpy as np
import pytest
import torch

from cellwright.kernels.bfloat16 import narrowed, widened


@numba.njit
def _narrow(x, out):
    for i in range(x.shape[0]):
        out[i] = narrowed(x[i], out)


@numba.njit
def _widen(stored, out):
    for i in range(stored.shape[0]):
        out[i] = widened(stored[i])


def _narrowed(x, dtype=np.uint16):
    out = np.empty(x.shape, dtype)
    _narrow(x, out)
    return out


def _random_bits():
    return np.random.default_rng(0).integers(0, 2**32, 300_000, dtype=np.uint32)


def _halves():
    """Exactly between two bfloat16, and a step to either side, under every sign and exponent."""
    upper = np.arange(2**16, dtype=np.uint32) << np.uint32(16)
    return np.concatenate([upper + np.uint32(low) for low in (0x7FFF, 0x8000, 0x8001)])


BITS = {
    "random": _random_bits(),
    "halves": _halves(),
    "subnormal": np.arange(0, 2**23, 37, dtype=np.uint32),
    # the last rounds to infinity
    "edges": np.array([0, 2**31, 1, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF], np.uint32),
}


@pytest.mark.parametrize("bits", BITS.values(), ids=BITS)
def test_narrowing_is_torchs_conversion_bit_for_bit(bits):
    x = bits.view(np.float32)
    x = x[~np.isnan(x)]
    expected = torch.from_numpy(x).bfloat16().view(torch.uint16).numpy()
    np.testing.assert_array_equal(_narrowed(x), expected)


def test_what_is_not_a_number_stays_so_whatever_its_bits():
    payload = np.concatenate([[1, 0x7FFF, 0x8000, 0xFFFF, 0x3FFFFF, 0x7FFFFF], 2 ** np.arange(23)]).astype(np.uint32)
    x = np.concatenate([0x7F800000 + payload, 0xFF800000 + payload]).astype(np.uint32).view(np.float32)
    assert np.isnan(x).all()
    assert torch.from_numpy(_narrowed(x)).view(torch.bfloat16).isnan().all()


def test_widening_is_torchs_conversion_of_all_numbers_there_are():
    stored = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    out = np.empty(2**16, np.float32)
    _widen(stored, out)
    np.testing.assert_array_equal(out, torch.from_numpy(stored).view(torch.bfloat16).float().numpy())


def test_float32_is_stored_and_read_as_it_is():
    x = _random_bits().view(np.float32)
    np.testing.assert_array_equal(_narrowed(x, np.float32).view(np.uint32), x.view(np.uint32))
    out = np.empty_like(x)
    _widen(x, out)
    np.testing.assert_array_equal(out.view(np.uint32), x.view(np.uint32))
