"""Past: what a forecast starts from: sequences up to their last step that is seen, and when the next steps are.

x (n_obs, n_vars), n_steps, hidden -step grid-> Past: one entry per row and sequence that has a step
values of the steps ahead (n_sequences, n_steps, n_quantities), standardised -> (n_obs, n_seq, n_steps, ...) in the
unit of the data
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.core.noise import NoiseKey
from cellwright.errors import OptionError
from cellwright.models.parts.step_grid import Sequences, StepGrid


@dataclass(frozen=True, eq=False)
class Past:
    """The sequences that go on, and the steps that are asked for."""

    grid: StepGrid
    sequences: Sequences
    distance: Float[Tensor, "n_sequences n_steps"]  # of each step ahead from the last one seen, in usual gaps
    rows: Int[Tensor, " n_sequences"]  # of the data, not of the minibatch: what noise is keyed by

    @classmethod
    def of(cls, grid: StepGrid, minibatch: Minibatch, n_steps: int, hidden: int = 0) -> "Past":
        """Of a minibatch. Raises `OptionError` for less than one step, or less than none hidden."""
        if n_steps < 1:
            raise OptionError(f"n_steps must be 1 or more; it is {n_steps}. Ask for one step at least.")
        if hidden < 0:
            raise OptionError(f"hidden must be 0 or more steps; it is {hidden}. Hide none, or some.")
        sequences = grid(minibatch.x, hidden)
        ahead = grid.times_ahead(n_steps, hidden)[sequences.sequence]
        last = sequences.times.gather(1, sequences.lengths[:, None] - 1) if len(ahead) else ahead[:, :1]
        return cls(grid, sequences, ahead - last, minibatch.rows[sequences.row])

    @property
    def n_steps(self) -> int:
        """How many steps are asked for."""
        return self.distance.shape[1]

    @property
    def gaps(self) -> Float[Tensor, "n_sequences n_steps"]:
        """From each step ahead to the one before it, in usual gaps."""
        return torch.diff(self.distance, dim=1, prepend=torch.zeros_like(self.distance[:, :1]))

    @property
    def n_ahead(self) -> Int[Tensor, "n_sequences n_steps"]:
        """How many usual gaps of its own sequence each step is ahead, rounded; 1 or more."""
        usual = self.grid.usual_gaps[self.sequences.sequence][:, None]
        return (self.distance / usual).round().long().clamp(min=1)

    @property
    def last(self) -> Float[Tensor, "n_sequences n_quantities"]:
        """The last measured value of each quantity; zero, the training mean, where there is none."""
        if not len(self.sequences.lengths):
            return self.sequences.values[:, 0]
        every = last_measured(self.sequences)
        return every[torch.arange(len(every), device=every.device), self.sequences.lengths - 1]

    def noise_rows(self) -> Int[Tensor, " n_sequences"]:
        """A number for each row and sequence, the same in every minibatch."""
        return self.rows * self.grid.shape[0] + self.sequences.sequence

    def in_unit(
        self, ahead: Float[Tensor, "n_sequences n_steps n_quantities"]
    ) -> Float[Tensor, "n_obs n_seq n_steps n_quantities"]:
        """Standardised values of the steps ahead in the unit of the data; NaN where there is no past or quantity."""
        grid, found = self.grid, self.sequences
        shape = (found.n_obs, grid.shape[0], self.n_steps, grid.shape[2])
        out = ahead.new_full(shape, torch.nan).index_put((found.row, found.sequence), ahead)
        out = out * grid.scale[:, None] + grid.mean[:, None]
        return torch.where(grid.has_quantity[:, None], out, torch.nan)


def last_measured(sequences: Sequences) -> Float[Tensor, "n_sequences n_steps n_quantities"]:
    """The last measured value of each quantity up to each step; zero, the training mean, before there is one."""
    step = torch.arange(sequences.values.shape[1], device=sequences.values.device)[:, None]
    latest = torch.where(sequences.observed, step, -1).cummax(dim=1).values
    return torch.where(latest >= 0, sequences.values.gather(1, latest.clamp(min=0)), 0.0)


def keyed(generator: Generator) -> NoiseKey:
    """The key of one draw: noise that is keyed by row, so that a draw is the same in minibatches of any size."""
    return NoiseKey(int(torch.randint(2**62, (1,), generator=generator)))
