"""Objective: what a model asks the trainer to do, once per step.

Minibatch, Step -> Objective.loss -> Loss (named terms, (n_obs,) each) -> total -> one step of its optimiser
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.noise import NoiseKey
from cellwright.core.options import Options


class AdamOptions(Options):
    """Options of Adam [Kingma15]; with weight decay it is AdamW [Loshchilov19]."""

    learning_rate: float = Field(1e-3, gt=0, description="step size")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


@dataclass(frozen=True)
class Step:
    """Where training stands. `noise` draws random numbers keyed by row and step (see `noise.py`)."""

    epoch: int
    noise: NoiseKey

    def warmup(self, epochs: int) -> float:
        """A weight that rises from 0 to 1 over the first `epochs` epochs."""
        return min(1.0, self.epoch / epochs) if epochs else 1.0

    @classmethod
    def evaluation(cls, index: int) -> "Step":
        """The step for evaluation: after every warm-up, with noise that does not change from epoch to epoch."""
        return cls(sys.maxsize, NoiseKey(0, 0, index))


@dataclass(frozen=True, eq=False)
class Loss:
    """Named per-cell terms `(n_obs,)` and their weights (1 where none is given), in the unit that the model states."""

    terms: Mapping[str, Float[Tensor, " n_obs"]]
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_cell(self) -> Float[Tensor, " n_obs"]:
        """The weighted sum of the terms, per cell."""
        return torch.stack([self.weights.get(name, 1.0) * term for name, term in self.terms.items()]).sum(dim=0)

    def means(self, weight: Float[Tensor, " n_obs"]) -> Float[Tensor, " n_terms"]:
        """The mean of each term over cells, each counted with its `weight`; in the order of `terms`."""
        share = weight / weight.sum()
        return (torch.stack(list(self.terms.values())) * share).sum(dim=1)

    def total(self, weight: Float[Tensor, " n_obs"]) -> Float[Tensor, ""]:
        """The weighted sum of the means: what is minimised."""
        return self.total_of(self.means(weight))

    def total_of(self, means: Float[Tensor, " n_terms"]) -> Float[Tensor, ""]:
        """The weighted sum of what `means` gave."""
        return (means * means.new_tensor([self.weights.get(name, 1.0) for name in self.terms])).sum()


@dataclass(frozen=True, eq=False)
class Objective:
    """One loss function, the submodule that it trains, how, and in every how many steps."""

    name: str
    loss: Callable[[Minibatch, Step], Loss]
    trains: nn.Module
    optimiser: AdamOptions = AdamOptions()
    every: int = 1
