"""Markov chain: a step is one of a few states, and the next one depends on it alone.

    steps of the training rows -k-means, each sequence of the schema by itself-> states; counts of what follows what
    last step -nearest centre-> state -transitions, once per step ahead-> p(state) (n_sequences, n_steps, n_states)
    forecast: the mean of the states' means;  draw: a path of states, of each a training step that was in it

A quantity that was not measured at a step counts with its last measured value, before there is one with the training
mean. A state that nothing follows stays. A step ahead is a usual gap of its sequence, whatever its own gap.

References: [Norris97]; [Hyndman21] for forecasts as means and draws.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import DrawsForecast, Forecasts
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.past import Past, keyed, last_measured
from cellwright.models.parts.step_grid import StepGrid

N_MEMBERS = 5000  # training steps of each sequence that are kept, to be drawn; fewer of many quantities:
AT_MOST_VALUES = 4_000_000  # 16 MB in a saved run
MEMBER_STREAM = 1  # of the noise that chooses among them


class MarkovChainOptions(Options):
    """Options of the Markov chain."""

    n_states: int = Field(10, ge=1, description="states of each sequence; fewer where it has fewer different steps")


class MarkovChain(Model, Forecasts, DrawsForecast):
    """Expects the mean of the states that the state of the last step leads to."""

    is_baseline = True
    needs = frozenset({"steps"})
    citations = ("Norris97", "Hyndman21")
    centres: Tensor
    transitions: Tensor
    means: Tensor
    members: Tensor
    starts: Tensor

    def __init__(self, schema: Schema, options: MarkovChainOptions = MarkovChainOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: MarkovChainOptions = options
        assert schema.steps is not None, "a model that needs steps was built without"
        self.grid = StepGrid(schema.steps)
        n_sequences, _, n_quantities = self.grid.shape
        n = options.n_states
        # a state that there is not is infinitely far away
        self.register_buffer("centres", torch.full((n_sequences, n, n_quantities), torch.inf))
        self.register_buffer("transitions", torch.eye(n).repeat(n_sequences, 1, 1))
        self.register_buffer("means", torch.zeros(n_sequences, n, n_quantities))
        self.n_members = max(50, n, min(N_MEMBERS, AT_MOST_VALUES // (n_sequences * n_quantities)))
        self.register_buffer("members", torch.zeros(n_sequences, self.n_members, n_quantities))
        self.register_buffer("starts", torch.zeros(n_sequences, n + 1, dtype=torch.int64))

    @property
    def support(self) -> Support:
        return Support.missing

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)
        self.centres.fill_(torch.inf)
        steps: list[list[np.ndarray]] = [[] for _ in range(self.grid.shape[0])]
        for minibatch in in_order(source, rows):
            found = self.grid(minibatch.x)
            values = last_measured(found).cpu().numpy()
            for sequence, length, path in zip(found.sequence.tolist(), found.lengths.tolist(), values, strict=True):
                steps[sequence].append(path[:length])
        for sequence, paths in enumerate(steps):
            if paths:
                self._learn_states(sequence, paths, rng)

    def forecast(
        self, minibatch: Minibatch, n_steps: int, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        which, at = past.sequences.sequence[:, None], past.n_ahead
        there = self._powers(int(at.max()) if at.numel() else 0)[at, which, self._state(past)[:, None]]
        return past.in_unit(torch.einsum("nts,ntsq->ntq", there, self.means[which].expand(-1, at.shape[1], -1, -1)))

    def draw_forecast(
        self, minibatch: Minibatch, n_steps: int, generator: Generator, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        which, state, key, rows = past.sequences.sequence, self._state(past), keyed(generator), past.noise_rows()
        by_step = torch.diff(past.n_ahead, dim=1, prepend=torch.zeros_like(past.n_ahead[:, :1]))
        powers = self._powers(int(by_step.max()) if by_step.numel() else 0)
        to_state, to_member = key.uniform(rows, n_steps), key.uniform(rows, n_steps, MEMBER_STREAM)
        found = []
        for ahead in range(n_steps):
            reached = powers[by_step[:, ahead], which, state].cumsum(dim=1)
            state = (reached < to_state[:, ahead : ahead + 1] * reached[:, -1:]).sum(dim=1)
            first, n = self.starts[which, state], self.starts[which, state + 1] - self.starts[which, state]
            chosen = first + (to_member[:, ahead] * n).long().clamp(max=(n - 1).clamp(min=0))
            found.append(self.members[which, chosen])
        return past.in_unit(torch.stack(found, dim=1))

    def _state(self, past: Past) -> Int[Tensor, " n_sequences"]:
        centres = self.centres[past.sequences.sequence]
        return (centres - past.last[:, None]).square().sum(dim=2).argmin(dim=1)

    def _powers(self, n: int) -> Float[Tensor, "n_powers n_seq n_states n_states"]:
        """The transitions of 0, 1, ... n steps."""
        powers = [torch.eye(self.transitions.shape[1]).to(self.transitions).expand_as(self.transitions)]
        for _ in range(n):
            powers.append(powers[-1] @ self.transitions)
        return torch.stack(powers)

    def _learn_states(self, sequence: int, paths: list[np.ndarray], rng: np.random.Generator) -> None:
        from sklearn.cluster import KMeans  # takes two seconds, and few models need it

        values = np.concatenate(paths)
        n = min(self.options.n_states, len(np.unique(values, axis=0)))
        states = KMeans(n, n_init=3, random_state=int(rng.integers(2**31))).fit_predict(values)
        self.transitions[sequence] = torch.from_numpy(_counted(states, [len(p) for p in paths], self.options.n_states))
        order = rng.permutation(len(values))
        # one step of each state first: a rare one has to have a step that can be drawn
        first = np.unique(states[order], return_index=True)[1]
        order = np.concatenate([order[first], np.delete(order, first)])
        kept = np.sort(order[: self.n_members])
        kept = kept[np.argsort(states[kept], kind="stable")]
        sizes = np.bincount(states[kept], minlength=self.options.n_states)
        self.starts[sequence] = torch.from_numpy(np.r_[0, np.cumsum(sizes)])
        self.members[sequence, : len(kept)] = torch.from_numpy(values[kept])
        for state in np.unique(states):
            self.centres[sequence, state] = torch.from_numpy(values[states == state].mean(axis=0))
            # of what is drawn, so that draws scatter around what is forecast
            drawn_from = values[kept][states[kept] == state]
            self.means[sequence, state] = torch.from_numpy(drawn_from.mean(axis=0))


def _counted(states: np.ndarray, lengths: list[int], n_states: int) -> np.ndarray:
    """Shares of what follows each state within a path, (n_states, n_states) float32; what nothing follows stays."""
    counts = np.zeros((n_states, n_states))
    last = np.cumsum(lengths) - 1
    within = np.setdiff1d(np.arange(len(states) - 1), last)
    np.add.at(counts, (states[within], states[within + 1]), 1.0)
    counts[counts.sum(axis=1) == 0] += np.eye(n_states)[counts.sum(axis=1) == 0]
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
