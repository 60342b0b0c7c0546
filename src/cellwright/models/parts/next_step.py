"""Next step: from what a network says of each prefix to the step that follows, rolled out for several.

    states (n_sequences, n_steps, width), time to the next step -change-> its mean (n_sequences, n_steps, n_quantities)
                                                                -spread-> its standard deviation

The mean is how much a quantity differs from its last measured value (from the training mean, before there is one), so
that "no change" is where training starts from. The terms of the loss are the squared error of the mean, and minus the
log-density of a normal distribution around it, whose gradient reaches the spread alone: how sure a network is of itself
does not change what it expects. A forecast feeds means back in as if measured; a draw feeds in means and noise, so that
its later steps are what the network says of a sequence that went so.

References: [Srivastava15] prediction by a network that is fed its own predictions; [Nix94] a normal distribution whose
variance is an output of the network.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.noise import NoiseKey
from cellwright.models.parts.past import Past, last_measured
from cellwright.models.parts.step_grid import Sequences, StepGrid
from cellwright.nn.recurrent import at_last

# (inputs, times, lengths) -> what is said of each prefix; of the steps beyond `lengths` it means nothing
Reader = Callable[[Tensor, Tensor, Tensor], Tensor]
LARGEST_LOG_SD = 5.0  # of standardised values, either way


class NextStep(nn.Module):
    """Two heads over the states of a network that reads prefixes."""

    def __init__(self, n_quantities: int, width: int) -> None:
        super().__init__()
        self.change, self.spread = (
            nn.Sequential(nn.Linear(width + 1, width), nn.ReLU(), nn.Linear(width, n_quantities)) for _ in range(2)
        )

    def terms(self, grid: StepGrid, sequences: Sequences, read: Reader) -> dict[str, Float[Tensor, " n_obs"]]:
        """Of the next step of every prefix, the mean over a row's measured values that have a step before them."""
        states = read(grid.inputs(sequences), sequences.times, sequences.lengths)[:, :-1]
        gaps = sequences.gaps[:, 1:, None]
        mean = last_measured(sequences)[:, :-1] + self._change(states, gaps)
        error = sequences.values[:, 1:] - mean
        log_sd = self._log_sd(states.detach(), gaps)
        surprise = 0.5 * (error.detach() * (-log_sd).exp()).square() + log_sd
        measured = sequences.observed[:, 1:]
        return {
            "squared_error": mean_by_row(error.square(), measured, sequences),
            "spread": mean_by_row(surprise, measured, sequences),
        }

    def rolled_out(
        self, past: Past, read: Reader, noise: NoiseKey | None = None
    ) -> Float[Tensor, "n_sequences n_steps n_quantities"]:
        """The steps ahead, standardised: means fed back in; with `noise` one draw."""
        grid, sequences, gaps = past.grid, past.sequences, past.gaps
        which, n_steps = sequences.sequence, past.n_steps
        rows = torch.arange(len(which), device=which.device)
        # room for the steps ahead, which each sequence gets right behind its last one
        inputs = functional.pad(grid.inputs(sequences), (0, 0, 0, n_steps))
        times = functional.pad(sequences.times, (0, n_steps))
        since = at_last(sequences.times[..., None], sequences.lengths) + past.distance
        # what a sequence does not have was never measured in training either
        known = grid.has_quantity[which].to(inputs.dtype)
        value, found = past.last, []
        drawn = self._normal(past, noise)
        for ahead in range(n_steps):
            gap, lengths = gaps[:, ahead : ahead + 1], sequences.lengths + ahead
            state = at_last(read(inputs, times, lengths), lengths)
            value = value + self._change(state, gap)
            if drawn is not None:
                value = value + self._log_sd(state, gap).exp() * drawn[:, ahead]
            found.append(value)
            fed = torch.cat([value * known, known, grid.context(which, gap)[:, 0]], dim=1)
            inputs = inputs.index_put((rows, lengths), fed)
            times = times.index_put((rows, lengths), since[:, ahead])
        return torch.stack(found, dim=1)

    def _normal(self, past: Past, noise: NoiseKey | None) -> Tensor | None:
        shape = (past.n_steps, past.grid.shape[2])
        return None if noise is None else noise.normal(past.noise_rows(), shape[0] * shape[1]).unflatten(1, shape)

    def _change(self, states: Float[Tensor, "... width"], gaps: Float[Tensor, "... 1"]) -> Float[Tensor, "... n"]:
        return self.change(torch.cat([states, gaps], dim=-1))

    def _log_sd(self, states: Float[Tensor, "... width"], gaps: Float[Tensor, "... 1"]) -> Float[Tensor, "... n"]:
        raw = self.spread(torch.cat([states, gaps], dim=-1))
        return LARGEST_LOG_SD * torch.tanh(raw / LARGEST_LOG_SD)


def mean_by_row(
    numbers: Float[Tensor, "n_sequences n_steps n_quantities"],
    measured: Bool[Tensor, "n_sequences n_steps n_quantities"],
    sequences: Sequences,
) -> Float[Tensor, " n_obs"]:
    """Mean of the numbers of what was measured, over all sequences of a row; zero without any."""
    of_sequence = torch.where(measured, numbers, 0.0).sum(dim=(1, 2))
    sums = torch.stack([of_sequence, measured.sum(dim=(1, 2)).to(numbers.dtype)], dim=1)
    total, n = sums.new_zeros(sequences.n_obs, 2).index_add(0, sequences.row, sums).unbind(dim=1)
    return total / n.clamp(min=1)
