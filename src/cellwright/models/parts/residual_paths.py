"""Residual paths: how a forecast without a network was wrong on the training rows, to be added to what it says.

    training rows, every prefix of them -forecast-> errors at 1, 2, ... steps ahead, whole paths of whole steps
    forecast (n_sequences, n_steps, n_quantities) + a path drawn among these -> one draw

A draw takes the error of all its steps and quantities from one place of one training row, so that errors that go
together stay together, and those of far steps are as large as such a forecast makes them. Errors have the mean of each
horizon taken off: draws scatter around what is forecast. Prefixes of less than the wanted horizon before the end of
their sequence are used only where there are no others.

References: [Efron93] the bootstrap of residuals.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.data.source import Source, in_order
from cellwright.models.parts.past import Past, keyed
from cellwright.models.parts.step_grid import StepGrid

LONGEST = 20  # steps ahead of which errors are kept; further ones have those of the furthest
N_KEPT = 1000  # paths of each sequence, fewer of many quantities:
AT_MOST_VALUES = 4_000_000  # 16 MB in a saved run
N_PREFIXES = 10_000  # of training rows, from which these are drawn

Ahead = Callable[[Past], Float[Tensor, "n_sequences n_steps n_quantities"]]


class ResidualPaths(nn.Module):
    """The errors that are kept, those with the furthest horizon first, and how many reach each horizon."""

    paths: Tensor
    n_reaching: Tensor

    def __init__(self, grid: StepGrid) -> None:
        super().__init__()
        n_sequences, n_steps, n_quantities = grid.shape
        self.longest = max(1, min(LONGEST, n_steps - 1))
        self.n_kept = max(20, min(N_KEPT, AT_MOST_VALUES // (n_sequences * self.longest * n_quantities)))
        self.register_buffer("paths", torch.zeros(n_sequences, self.n_kept, self.longest, n_quantities))
        self.register_buffer("n_reaching", torch.ones(n_sequences, self.longest, dtype=torch.int64))

    @torch.no_grad()
    def learn(self, grid: StepGrid, source: Source, rows: np.ndarray, rng: np.random.Generator, ahead: Ahead) -> None:
        """Keep errors of `ahead` on the rows; the grid has learned its scale before."""
        self.paths.zero_()
        self.n_reaching.fill_(1)
        some = np.sort(rng.permutation(rows)[: max(1, N_PREFIXES // grid.shape[1])])
        found: list[list[np.ndarray]] = [[] for _ in range(grid.shape[0])]
        for minibatch in in_order(source, some):
            for hidden in range(1, grid.shape[1]):
                for sequence, errors in self._errors(grid, minibatch, hidden, ahead):
                    found[sequence].append(errors)
        for sequence, parts in enumerate(found):
            if parts:
                self._keep(sequence, np.concatenate(parts), rng)

    def drawn(
        self, past: Past, expected: Float[Tensor, "n_sequences n_steps n_quantities"], generator: Generator
    ) -> Float[Tensor, "n_sequences n_steps n_quantities"]:
        """What is expected with a path of errors."""
        which, at = past.sequences.sequence, past.n_ahead.clamp(max=self.longest) - 1
        n = self.n_reaching[which, at[:, -1]] if len(which) else which
        uniform = keyed(generator).uniform(past.noise_rows(), 1)[:, 0]
        chosen = (uniform * n).long().clamp(max=self.n_kept - 1)
        return expected + self.paths[which[:, None], chosen[:, None], at]

    def _errors(self, grid: StepGrid, minibatch: Minibatch, hidden: int, ahead: Ahead) -> list[tuple[int, np.ndarray]]:
        """By sequence of the schema: errors with the last `hidden` steps unseen; NaN where nothing was measured."""
        past = Past.of(grid, minibatch, min(hidden, self.longest), hidden)
        which = past.sequences.sequence
        if not len(which):
            return []
        values, observed = grid.placed(minibatch.x)
        standard = (values - grid.mean[:, None]) / grid.scale[:, None]
        truth = torch.where(observed, standard, torch.nan)[past.sequences.row, which]
        first = (grid.n_steps[which] - hidden)[:, None] + torch.arange(past.n_steps, device=which.device)
        errors = truth.gather(1, first[..., None].expand(-1, -1, truth.shape[2])) - ahead(past)
        padded = torch.full((len(which), self.longest, truth.shape[2]), torch.nan).to(errors)
        padded[:, : past.n_steps] = errors
        return [(int(s), padded[which == s].cpu().numpy()) for s in which.unique()]

    def _keep(self, sequence: int, errors: np.ndarray, rng: np.random.Generator) -> None:
        """Errors of one sequence, `(n, longest, n_quantities)`."""
        measured = ~np.isnan(errors)
        reach = np.where(measured.any(axis=2), np.arange(1, self.longest + 1), 0).max(axis=1)
        errors, reach = errors[reach > 0], reach[reach > 0]
        if not len(errors):
            return
        chosen = rng.permutation(len(errors))[: self.n_kept]
        order = chosen[np.argsort(-reach[chosen], kind="stable")]
        kept, reach = _filled(errors[order], rng), reach[order]
        n = [int((reach >= min(steps, reach[0])).sum()) for steps in range(1, self.longest + 1)]
        # a horizon is drawn with paths that reach as far or further: with the mean of all that could be, taken off
        centre = np.stack([kept[: n[at], at].mean(axis=0) for at in range(self.longest)])
        self.paths[sequence, : len(kept)] = torch.from_numpy(kept - centre).to(self.paths)
        self.n_reaching[sequence] = torch.tensor(n)


def _filled(errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What was not measured takes the error of another path at the same horizon, else of the horizon before."""
    out = errors.copy()
    for horizon in range(out.shape[1]):
        for quantity in range(out.shape[2]):
            column = out[:, horizon, quantity]
            gaps = np.isnan(column)
            if gaps.all():
                out[:, horizon, quantity] = out[:, horizon - 1, quantity] if horizon else 0.0
            elif gaps.any():
                column[gaps] = rng.choice(column[~gaps], gaps.sum())
    return out
