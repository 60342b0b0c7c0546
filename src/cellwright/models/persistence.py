"""Persistence: what was last measured goes on. The floor of every comparison of forecasts.

    last measured value of each quantity (n_sequences, n_quantities) -> the same at every step ahead

How sure it is comes from its errors on the training rows (see models/parts/residual_paths.py).

References: [Hyndman21], section 5.2: the naive method.
"""

import numpy as np
from jaxtyping import Float
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


class PersistenceOptions(Options):
    """It has none."""


class Persistence(Model, Forecasts, DrawsForecast):
    """Expects no change; the training mean of a quantity that a row does not have yet."""

    is_baseline = True
    needs = frozenset({"steps"})
    citations = ("Hyndman21", "Efron93")

    def __init__(self, schema: Schema, options: PersistenceOptions = PersistenceOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        assert schema.steps is not None, "a model that needs steps was built without"
        self.grid = StepGrid(schema.steps)
        self.errors = ResidualPaths(self.grid)

    @property
    def support(self) -> Support:
        return Support.missing

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)
        self.errors.learn(self.grid, source, rows, rng, _unchanged)

    def forecast(
        self, minibatch: Minibatch, n_steps: int, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(_unchanged(past))

    def draw_forecast(
        self, minibatch: Minibatch, n_steps: int, generator: Generator, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(self.errors.drawn(past, _unchanged(past), generator))


def _unchanged(past: Past) -> Float[Tensor, "n_sequences n_steps n_quantities"]:
    return past.last[:, None].expand(-1, past.n_steps, -1)
