"""Noise keyed by row and step: the same cell in the same step gets the same numbers, on one process or on several.

    (seed, epoch, step, stream) x row x column -> 64-bit hash -> uniform or standard normal

The hash is the finaliser of SplitMix64 [Steele14]; a normal number is Box-Muller of two uniforms.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellwright.kernels.compiled import backend

_64_BITS = 2**64
# of SplitMix64; 2^64 / golden ratio first
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True)
class NoiseKey:
    """A key for one step; `stream` keeps independent uses within a step apart."""

    seed: int
    epoch: int = 0
    index: int = 0

    def uniform(self, rows: Int[Tensor, " n_obs"], width: int, stream: int = 0) -> Float[Tensor, "n_obs width"]:
        """Uniform numbers in (0, 1), one row per entry of `rows`."""
        columns = torch.arange(width, device=rows.device, dtype=torch.int64)
        return self.uniform_at(rows[:, None], columns, stream)

    def uniform_at(
        self, rows: Int[Tensor, "..."], columns: Int[Tensor, "..."], stream: int = 0
    ) -> Float[Tensor, "..."]:
        """The uniform numbers of single entries: what `uniform` has there."""
        if rows.device.type == "cpu" and backend() == "numba":
            from cellwright.kernels import noise as kernels

            rows, columns = torch.broadcast_tensors(rows, columns)
            out = torch.empty(rows.shape, dtype=torch.float32)
            at = rows.reshape(-1).numpy(), columns.reshape(-1).numpy()
            kernels.uniform_at(np.uint64(self._key(stream)), *at, out.view(-1).numpy())
            return out
        rows, columns = rows.long(), columns.long()  # the hash needs all 64 bits; stored columns are int32
        bits = _mix(_mix(rows * _signed(_GOLDEN) + _signed(self._key(stream))) + columns * _signed(_GOLDEN))
        # float32 has no half beside 2^24 - 1: the largest would be 1
        return (((bits >> 40 & 0xFFFFFF).to(torch.float32) + 0.5) / 2**24).clamp(max=1 - 2**-24)

    def normal(self, rows: Int[Tensor, " n_obs"], width: int, stream: int = 0) -> Float[Tensor, "n_obs width"]:
        """Standard normal numbers, one row per entry of `rows`."""
        if rows.device.type == "cpu" and backend() == "numba":
            from cellwright.kernels import noise as kernels

            out = torch.empty(len(rows), width, dtype=torch.float32)
            kernels.normal(np.uint64(self._key(stream)), rows.numpy(), out.numpy())
            return out
        half = (width + 1) // 2
        u = self.uniform(rows, 2 * half, stream)
        radius, angle = torch.sqrt(-2 * torch.log(u[:, :half])), 2 * math.pi * u[:, half:]
        return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :width]

    def _key(self, stream: int) -> int:
        key = 0
        for part in (self.seed, self.epoch, self.index, stream):
            key = _mix_int(key + part)
        return key


def _signed(z: int) -> int:
    """The signed 64-bit integer of these bits, for torch knows no other arithmetic."""
    return z - _64_BITS if z >= _64_BITS // 2 else z


def _mix(z: Tensor) -> Tensor:
    # `>>` of torch is arithmetic; the masks make it the logical shift that the hash needs
    z = (z ^ (z >> 30 & (1 << 34) - 1)) * _signed(_MIX_1)
    z = (z ^ (z >> 27 & (1 << 37) - 1)) * _signed(_MIX_2)
    return z ^ (z >> 31 & (1 << 33) - 1)


def _mix_int(z: int) -> int:
    z = (z + _GOLDEN) % _64_BITS
    z = (z ^ z >> 30) * _MIX_1 % _64_BITS
    z = (z ^ z >> 27) * _MIX_2 % _64_BITS
    return z ^ z >> 31
