"""Linear extrapolation: a straight line through the last few measured values of each quantity goes on.

    last n_points measured values of each quantity, their times -least squares-> line -> its values at the steps ahead

With one measured value it is persistence, with none the training mean. How sure it is comes from its errors on the
training rows (see models/parts/residual_paths.py).

References: [Hyndman21], section 5.2, of whose drift method it is the local form.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import DrawsForecast, Forecasts
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.past import Past
from cellwright.models.parts.residual_paths import ResidualPaths
from cellwright.models.parts.step_grid import StepGrid


class LinearExtrapolationOptions(Options):
    """Options of linear extrapolation."""

    n_points: int = Field(3, ge=2, description="last measured values of a quantity that the line is laid through")


class LinearExtrapolation(Model, Forecasts, DrawsForecast):
    """Expects that each quantity goes on as it last went."""

    is_baseline = True
    needs = frozenset({"steps"})
    citations = ("Hyndman21", "Efron93")

    def __init__(
        self,
        schema: Schema,
        options: LinearExtrapolationOptions = LinearExtrapolationOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: LinearExtrapolationOptions = options
        assert schema.steps is not None, "a model that needs steps was built without"
        self.grid = StepGrid(schema.steps)
        self.errors = ResidualPaths(self.grid)

    @property
    def support(self) -> Support:
        return Support.missing

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)
        self.errors.learn(self.grid, source, rows, rng, self._on_the_line)

    def forecast(
        self, minibatch: Minibatch, n_steps: int, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(self._on_the_line(past))

    def draw_forecast(
        self, minibatch: Minibatch, n_steps: int, generator: Generator, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(self.errors.drawn(past, self._on_the_line(past), generator))

    def _on_the_line(self, past: Past) -> Float[Tensor, "n_sequences n_steps n_quantities"]:
        sequences = past.sequences
        observed, times = sequences.observed, sequences.times
        from_the_end = observed.flip(1).cumsum(dim=1).flip(1)
        used = (observed & (from_the_end <= self.options.n_points)).to(times.dtype)
        n = used.sum(dim=1, keepdim=True)
        # times from the last step on, so that those of a long sequence lose no digits
        end = times.gather(1, sequences.lengths[:, None] - 1)
        t = (times - end)[..., None]
        t_mean, v_mean = ((used * x).sum(dim=1, keepdim=True) / n.clamp(min=1) for x in (t, sequences.values))
        square = (used * (t - t_mean).square()).sum(dim=1, keepdim=True)
        slope = (used * (t - t_mean) * sequences.values).sum(dim=1, keepdim=True) / torch.where(square > 0, square, 1.0)
        return v_mean + slope * (past.distance[..., None] - t_mean)
