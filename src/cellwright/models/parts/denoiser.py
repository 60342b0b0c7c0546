"""Denoiser: what a diffusion on a latent space is asked at each step.

    label, condition, batch, covariates, library -describe-> (n_obs, n_hidden)
    x_t (n_obs, n_latent), t (n_obs,), description -residual blocks-> prediction (n_obs, n_latent)

Each block normalises, scales and shifts by what it is told of the time and the cell [Perez18], and adds what it makes;
the last layer starts at zero, so that an untrained denoiser predicts nothing.

References: [He16] residual blocks; [Perez18] FiLM; [Ho22] a label of its own for "not told".
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.models.parts.kinds import one_hot
from cellwright.nn.conditions import Conditions
from cellwright.nn.time_embedding import time_embedding

_TIME_WIDTH = 32


class Denoiser(nn.Module):
    """A residual MLP over the latent."""

    def __init__(self, schema: Schema, n_latent: int, *, n_hidden: int, n_layers: int) -> None:
        super().__init__()
        self.conditions = Conditions(schema)
        self.n_labels, self.n_conditions = schema.n_labels, schema.n_conditions
        self.label = nn.Embedding(schema.n_labels + 1, n_hidden)
        self.other = nn.Linear(self.n_conditions + self.conditions.width + 1, n_hidden)
        self.time = nn.Linear(_TIME_WIDTH, n_hidden)
        self.first = nn.Linear(n_latent, n_hidden)
        self.blocks = nn.ModuleList(_Block(n_hidden) for _ in range(n_layers))
        self.last = nn.Sequential(nn.LayerNorm(n_hidden), nn.Linear(n_hidden, n_latent))
        for parameter in self.last[-1].parameters():
            nn.init.zeros_(parameter)

    def describe(
        self, minibatch: Minibatch, label: Int[Tensor, " n_obs"], log_library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_hidden"]:
        """What is told of each cell; a label of -1 is "not told". `log_library` is standardised."""
        told = torch.where(label < 0, self.n_labels, label)
        condition = one_hot(minibatch.condition, self.n_conditions)
        return self.label(told) + self.other(torch.cat([condition, self.conditions(minibatch), log_library], dim=1))

    def forward(
        self,
        x_t: Float[Tensor, "n_obs n_latent"],
        t: Float[Tensor, " n_obs"],
        description: Float[Tensor, "n_obs n_hidden"],
    ) -> Float[Tensor, "n_obs n_latent"]:
        told = nn.functional.silu(self.time(time_embedding(t, _TIME_WIDTH)) + description)
        h = self.first(x_t)
        for block in self.blocks:
            h = block(h, told)
        return self.last(h)


class _Block(nn.Module):
    def __init__(self, n_hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_hidden, elementwise_affine=False)
        self.film = nn.Linear(n_hidden, 2 * n_hidden)
        self.change = nn.Sequential(nn.Linear(n_hidden, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_hidden))

    def forward(
        self, h: Float[Tensor, "n_obs n_hidden"], told: Float[Tensor, "n_obs n_hidden"]
    ) -> Float[Tensor, "n_obs n_hidden"]:
        scale, shift = self.film(told).chunk(2, dim=1)
        return h + self.change(self.norm(h) * (1 + scale) + shift)
