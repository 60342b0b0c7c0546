"""Objective: what a model asks the trainer to do, once per step.

Minibatch, Step -> Objective.loss -> Loss (named terms, (n_obs,) each) -> total -> one step of its optimiser
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    beta_1: float = Field(0.9, ge=0, lt=1, description="decay of the mean of gradients; less for critics")
    beta_2: float = Field(0.999, ge=0, lt=1, description="decay of the mean of their squares")


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

    def total(self, weight: Float[Tensor, " n_obs"]) -> tuple[Float[Tensor, ""], Float[Tensor, " n_terms"]]:
        """The weighted sum of the terms' means over cells, each counted with its `weight`: what is minimised.

        Also the means themselves, in the order of `terms`, without gradient.
        """
        share = (weight / weight.sum()).detach()
        factors = [self.weights.get(name, 1.0) for name in self.terms]
        total, means = _Total.apply(share, factors, *self.terms.values())
        return total, means


class _Total(torch.autograd.Function):
    """One function instead of a dozen small operations, each of which costs more than its arithmetic."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, factors: list[float], *terms: Tensor) -> tuple[Tensor, Tensor]:
        means = torch.stack([(term * share).sum() for term in terms])
        ctx.save_for_backward(share)
        ctx.factors = factors
        ctx.mark_non_differentiable(means)
        return (means * means.new_tensor(factors)).sum(), means

    @staticmethod
    def backward(ctx: Any, by_total: Tensor, by_means: Tensor) -> tuple[Tensor | None, ...]:
        (share,) = ctx.saved_tensors
        by_term = share * by_total
        return None, None, *(by_term if factor == 1 else by_term * factor for factor in ctx.factors)


@dataclass(frozen=True, eq=False)
class Objective:
    """One loss function, the submodule that it trains, how, and in every how many steps.

    Where a stage has several, each is called in its turn with the same minibatch, the first one's total is the `loss`
    of the history, and a critic takes several steps for one of the generator by the generator's `every`.
    """

    name: str
    loss: Callable[[Minibatch, Step], Loss]
    trains: nn.Module
    optimiser: AdamOptions = AdamOptions()
    every: int = 1
