"""Latent response: a shift in a model's latent, learnt from its training cells.

training cells -encode-> points -balance, by condition-> Responses -shift.learn-> shift
z, label, condition -> z + shift

A remedy acts on the cells of one condition at a time, as the published code balances each side [Lotfollahi19]: a shift
is a difference between conditions, and a synthetic cell between a control and a treated one would be of neither.

References: [Lotfollahi19] scGen.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.core.abilities import Encodes
from cellwright.core.schema import Schema
from cellwright.data.balance import Balance, class_codes
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.models.parts.responses import Responses
from cellwright.models.parts.shift import ShiftOptions


class LatentResponse(nn.Module):
    """Moves latents from control to treated."""

    def __init__(self, schema: Schema, n_latent: int, shift: ShiftOptions, balance: Balance) -> None:
        super().__init__()
        self.schema = schema
        self.balance = balance
        self.shift = shift.build(schema, n_latent)

    @torch.no_grad()
    def learn(self, encoder: Encodes, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Estimate the shift from the latents of `rows`, after the remedy for unequal numbers of cells."""
        points = np.concatenate([encoder.encode(minibatch).cpu().numpy() for minibatch in in_order(source, rows)])
        codes, condition = class_codes(self.balance, source, rows), source.annotation.condition[rows]
        known = (condition >= 0) & (source.annotation.label[rows] >= 0)  # the others are in no mean
        if not known.any():
            raise DataError(
                "a response must be learnt from cells with a label and a condition; none of "
                f"{len(rows)} training cells has both. Give another split, or other keys."
            )
        drawn = [
            self._resampled(points, codes, np.flatnonzero(known & (condition == code)), rng)
            for code in np.unique(condition[known])
        ]
        points, of, weight = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        cells = rows[of]
        self.shift.learn(
            Responses(points, source.annotation.label[cells], source.annotation.condition[cells], weight, self.schema),
            rng,
        )

    def _resampled(
        self, points: np.ndarray, codes: np.ndarray, side: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        drawn = self.balance.resample(points[side], codes[side], rng)
        return drawn.points, side[drawn.of], drawn.weight

    def forward(
        self, latent: Float[Tensor, "n_obs n_latent"], label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_latent"]:
        """The latents as they would be under the conditions."""
        return latent + self.shift(latent, label, condition)
