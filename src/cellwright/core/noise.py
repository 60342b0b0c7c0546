"""Noise keyed by row and step: the same cell in the same step gets the same numbers, on one process or on several.

    (seed, epoch, step, stream) x row x column -> 64-bit hash -> uniform or standard normal

The hash is the finaliser of SplitMix64 [Steele14]; a normal number is Box-Muller of two uniforms.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed 64-bit integer
_MIX_1 = -0x40A7B892E31B1A47
_MIX_2 = -0x6B2FB644ECCEEE15


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
        key = _mix_int(_mix_int(_mix_int(_mix_int(self.seed) + self.epoch) + self.index) + stream)
        bits = _mix(_mix(rows * _GOLDEN + key) + columns * _GOLDEN)
        return ((bits >> 40 & 0xFFFFFF).to(torch.float32) + 0.5) / 2**24

    def normal(self, rows: Int[Tensor, " n_obs"], width: int, stream: int = 0) -> Float[Tensor, "n_obs width"]:
        """Standard normal numbers, one row per entry of `rows`."""
        half = (width + 1) // 2
        u = self.uniform(rows, 2 * half, stream)
        radius, angle = torch.sqrt(-2 * torch.log(u[:, :half])), 2 * math.pi * u[:, half:]
        return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :width]


def _mix(z: Tensor) -> Tensor:
    # `>>` of torch is arithmetic; the masks make it the logical shift that the hash needs
    z = (z ^ (z >> 30 & (1 << 34) - 1)) * _MIX_1
    z = (z ^ (z >> 27 & (1 << 37) - 1)) * _MIX_2
    return z ^ (z >> 31 & (1 << 33) - 1)


def _mix_int(z: int) -> int:
    return int(_mix(torch.tensor((z + _GOLDEN + 2**63) % 2**64 - 2**63)))
