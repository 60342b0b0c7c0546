"""Engine: one optimiser step of an objective, on any device and any number of them.

Minibatch, Objective -> wrapped module (precision, gradient averaging) -> backward -> Adam (gradients limited)
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import Objective, Step
from cellwright.errors import TrainingDiverged
from cellwright.models.model import Model
from cellwright.train.adam import Adam
from cellwright.train.devices import Devices
from cellwright.train.options import FitOptions


class _Work:
    """One call of one objective.

    No dataclass on purpose: Fabric rebuilds the dataclasses that it finds among the arguments of a module to change
    their precision, and cannot rebuild frozen ones; it leaves objects that it does not know alone.
    """

    def __init__(self, number: int, minibatch: Minibatch, step: Step) -> None:
        self.number, self.minibatch, self.step = number, minibatch, step
        self.terms: tuple[str, ...] = ()  # the names of the loss terms, once they are known


class _Losses(nn.Module):
    """Every objective is called through this module: a loss bound to the bare model would train unsynchronised."""

    def __init__(self, model: Model, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.model = model
        self.objectives = objectives

    def forward(self, work: _Work) -> tuple[Tensor, Tensor]:
        loss = self.objectives[work.number].loss(work.minibatch, work.step)
        work.terms = tuple(loss.terms)
        return loss.total(work.minibatch.weight)


class Engine:
    """The objectives of one stage, set up on the devices."""

    def __init__(self, devices: Devices, model: Model, objectives: Sequence[Objective], options: FitOptions) -> None:
        self.devices = devices
        self.objectives = objectives
        self.clip = options.gradient_clip
        self.losses = devices.setup_module(_Losses(model, objectives))
        self.optimisers = [Adam(o.trains.parameters(), o.optimiser) for o in objectives]

    def step(self, minibatch: Minibatch, step: Step, index: int) -> dict[str, float]:
        """One step of every objective whose turn it is; the mean of each loss term, by name."""
        terms: dict[str, float] = {}
        for number, (objective, optimiser) in enumerate(zip(self.objectives, self.optimisers, strict=True)):
            if index % objective.every:
                continue
            optimiser.zero_grad()
            total, means = self.losses(work := _Work(number, minibatch, step))
            terms |= self._named(objective, work.terms, means, total)
            self._refuse_divergence(terms, f"in epoch {step.epoch}, step {index}")
            self.devices.backward(total)
            optimiser.step(self.clip)
        return terms

    def evaluate(self, minibatch: Minibatch, step: Step) -> dict[str, float]:
        """The mean of each loss term, without a step."""
        terms: dict[str, float] = {}
        for number, objective in enumerate(self.objectives):
            total, means = self.losses(work := _Work(number, minibatch, step))
            terms |= self._named(objective, work.terms, means, total)
        self._refuse_divergence(terms, "on the validation cells")
        return terms

    def _named(self, objective: Objective, terms: Sequence[str], means: Tensor, total: Tensor) -> dict[str, float]:
        """Terms and total by name: `kl`, `loss`; of several objectives `critic/loss`, and the first one's as `loss`."""
        # one transfer from the device for all of them
        numbers = torch.cat([means.detach(), total.detach()[None]]).tolist()
        values = dict(zip((*terms, "loss"), numbers, strict=True))
        if len(self.objectives) == 1:
            return values
        first = {"loss": values["loss"]} if objective is self.objectives[0] else {}
        return {**{f"{objective.name}/{name}": value for name, value in values.items()}, **first}

    def _refuse_divergence(self, terms: dict[str, float], where: str) -> None:
        for name, value in terms.items():
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"training diverged: the loss term {name!r} must be finite; it is {value} {where}. "
                    "Try a smaller learning_rate or gradient_clip, or precision='32-true'."
                )
