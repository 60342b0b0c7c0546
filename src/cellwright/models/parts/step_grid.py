"""Step grid: rows of features become sequences of the steps at which something was measured.

    values (n_obs, n_vars), NaN = not measured -place by sequence, time, quantity-> (n_obs, n_sequences, n_steps, ...)
    -drop steps without a value-> Sequences: one entry per row and sequence that has a step, in the order of time

Nothing is filled in: a step that was not measured is no step; the time since the last one that was is an input, as is
which quantities were measured [Che18]. Features lie in the order of their times, however the file has them.

References: [Che18] masks and intervals as inputs of recurrent networks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.minibatch import SparseRows
from cellwright.core.schema import Steps
from cellwright.data.source import Source, in_order


@dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of a minibatch that have a step; what lies beyond `lengths` is zero and means nothing."""

    values: Float[Tensor, "n_sequences n_steps n_quantities"]  # standardised; zero where not measured
    observed: Bool[Tensor, "n_sequences n_steps n_quantities"]
    times: Float[Tensor, "n_sequences n_steps"]  # since the first step of the schema's sequence, in usual gaps
    lengths: Int[Tensor, " n_sequences"]  # 1 or more
    row: Int[Tensor, " n_sequences"]  # of the minibatch
    sequence: Int[Tensor, " n_sequences"]  # of the schema
    n_obs: int

    @property
    def gaps(self) -> Float[Tensor, "n_sequences n_steps"]:
        """Time since the step before; of the first step, since the first that the schema has."""
        return torch.diff(self.times, dim=1, prepend=self.times.new_zeros(len(self.times), 1))

    def mean_by_row(self, numbers: Float[Tensor, "n_sequences width"]) -> Float[Tensor, "n_obs width"]:
        """The mean over the sequences of each row; zero for a row without a single step."""
        sums = numbers.new_zeros(self.n_obs, numbers.shape[1]).index_add(0, self.row, numbers)
        n = torch.bincount(self.row, minlength=self.n_obs).clamp(min=1)
        return sums / n[:, None]


class StepGrid(nn.Module):
    """The places of features in sequences; the mean and scale of each quantity in each sequence are buffers."""

    place: Tensor
    times: Tensor
    ends: Tensor
    n_steps: Tensor
    usual_gaps: Tensor
    has_quantity: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        sequence, time = np.array(steps.sequence_of), np.array(steps.time_of)
        known = [np.unique(time[sequence == index]) for index in range(len(steps.sequences))]
        gaps = np.array([np.median(np.diff(times)) if len(times) > 1 else np.nan for times in known])
        usual = np.nanmedian(gaps) if np.isfinite(gaps).any() else 1.0
        self.shape = (len(known), max(map(len, known)), len(steps.quantities))
        step = np.array([np.searchsorted(known[s], t) for s, t in zip(sequence, time, strict=True)])
        place = np.ravel_multi_index((sequence, step, np.array(steps.quantity_of)), self.shape)
        padded = np.stack([np.pad(times - times[0], (0, self.shape[1] - len(times))) for times in known]) / usual
        # times of each sequence and their usual gap in the unit of the data, and the usual gap of all
        self.known, self.known_gaps, self.unit = known, np.nan_to_num(gaps, nan=usual), float(usual)
        # the schema has all of these; only the moments are learned, and saved
        self._keep("place", torch.from_numpy(place))
        self._keep("times", torch.from_numpy(padded).float())
        self._keep("ends", torch.tensor([(times[-1] - times[0]) / usual for times in known]).float())
        self._keep("n_steps", torch.tensor([len(times) for times in known]))
        self._keep("usual_gaps", torch.from_numpy(np.nan_to_num(gaps, nan=usual) / usual).float())
        measured = np.zeros((self.shape[0], self.shape[2]), dtype=bool)
        measured[sequence, np.array(steps.quantity_of)] = True
        self._keep("has_quantity", torch.from_numpy(measured))
        self.register_buffer("mean", torch.zeros(self.shape[0], self.shape[2]))
        self.register_buffer("scale", torch.ones(self.shape[0], self.shape[2]))

    @property
    def n_inputs(self) -> int:
        """Width of `inputs`."""
        return 2 * self.shape[2] + self.n_context

    @property
    def n_context(self) -> int:
        """Width of `context`."""
        return 1 + (self.shape[0] if self.shape[0] > 1 else 0)

    def learn(self, source: Source, rows: np.ndarray) -> None:
        """Mean and standard deviation of what was measured on `rows`, for each sequence and quantity."""
        n, total, squares = (torch.zeros(self.shape[0], self.shape[2], dtype=torch.float64) for _ in range(3))
        for minibatch in in_order(source, rows):
            values, observed = self.placed(minibatch.x)
            seen = torch.where(observed, values.double(), 0.0)
            n += observed.sum(dim=(0, 2))
            total += seen.sum(dim=(0, 2))
            squares += seen.square().sum(dim=(0, 2))
        mean, mean_square = total / n.clamp(min=1), squares / n.clamp(min=1)
        scale = (mean_square - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        # what never varied, or was never measured, keeps its unit
        self.scale.copy_(torch.where(scale > 1e-6 * mean_square.sqrt(), scale, 1.0))

    def placed(
        self, x: SparseRows
    ) -> tuple[Float[Tensor, "n_obs n_seq n_steps n_quantities"], Bool[Tensor, "n_obs n_seq n_steps n_quantities"]]:
        """Values at their places, and which were measured; of replicates, the mean of those that were."""
        dense = x.dense()
        measured = ~dense.isnan()
        empty = dense.new_zeros(len(dense), int(np.prod(self.shape)))
        n = empty.index_add(1, self.place, measured.to(dense.dtype))
        sums = empty.index_add(1, self.place, torch.where(measured, dense, 0.0))
        shape = (len(dense), *self.shape)
        return (sums / n.clamp(min=1)).reshape(shape), (n > 0).reshape(shape)

    def forward(self, x: SparseRows, hidden: int = 0) -> Sequences:
        """The sequences of the rows, each without the steps at which nothing was measured, or that are hidden.

        Hidden are the last so many steps that the schema has of each sequence.
        """
        values, observed = self.placed(x)
        if hidden:
            seen = torch.arange(self.shape[1], device=values.device) < (self.n_steps - hidden)[:, None]
            observed = observed & seen[..., None]
        standard = (values - self.mean[:, None]) / self.scale[:, None]
        return self.compacted(torch.where(observed, standard, 0.0), observed)

    def compacted(
        self,
        values: Float[Tensor, "n_obs n_seq n_steps n_quantities"],
        observed: Bool[Tensor, "n_obs n_seq n_steps n_quantities"],
    ) -> Sequences:
        """Steps with a value first, in the order of time; sequences without any are left out."""
        is_step = observed.any(dim=3)  # (n_obs, n_seq, n_steps)
        row, sequence = is_step.any(dim=2).nonzero(as_tuple=True)
        is_step = is_step[row, sequence]
        lengths = is_step.sum(dim=1)
        longest = int(lengths.max()) if len(lengths) else 1
        order = (~is_step).to(torch.int8).argsort(dim=1, stable=True)[:, :longest]
        within = torch.arange(longest, device=lengths.device) < lengths[:, None]
        at = torch.arange(len(row), device=row.device)[:, None], order
        return Sequences(
            values=values[row, sequence][at] * within[..., None],
            observed=observed[row, sequence][at] & within[..., None],
            times=self.times[sequence][at] * within,
            lengths=lengths,
            row=row,
            sequence=sequence,
            n_obs=len(values),
        )

    def when(self, n_steps: int, hidden: int = 0) -> np.ndarray:
        """The times of the steps ahead, (n_sequences, n_steps) float64 in the unit of the data.

        The hidden ones come first, then those behind the end, a usual gap of the sequence apart.
        """
        behind = np.arange(1, n_steps + 1)
        every = [np.concatenate([t, t[-1] + gap * behind]) for t, gap in zip(self.known, self.known_gaps, strict=True)]
        first = [max(0, len(times) - hidden) for times in self.known]
        return np.stack([times[at : at + n_steps] for times, at in zip(every, first, strict=True)])

    def times_ahead(self, n_steps: int, hidden: int = 0) -> Float[Tensor, "n_sequences n_steps"]:
        """The same, as `Sequences.times` are."""
        first = np.array([times[0] for times in self.known])[:, None]
        return torch.from_numpy((self.when(n_steps, hidden) - first) / self.unit).float().to(self.times.device)

    def inputs(self, sequences: Sequences) -> Float[Tensor, "n_sequences n_steps n_inputs"]:
        """What a network is given of each step: values, which of them were measured, and the context."""
        measured = sequences.observed.to(sequences.values.dtype)
        return torch.cat([sequences.values, measured, self.context(sequences.sequence, sequences.gaps)], dim=2)

    def context(
        self, sequence: Int[Tensor, " n_sequences"], gaps: Float[Tensor, "n_sequences n_steps"]
    ) -> Float[Tensor, "n_sequences n_steps n_context"]:
        """The time since the step before, and which sequence it is where there are several."""
        if self.shape[0] == 1:
            return gaps[..., None]
        which = functional.one_hot(sequence, self.shape[0]).to(gaps.dtype)
        return torch.cat([gaps[..., None], which[:, None].expand(-1, gaps.shape[1], -1)], dim=2)

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)
