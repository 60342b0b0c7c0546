"""Engine: one optimiser step of an objective, on any device and any number of them, through Lightning Fabric.

Minibatch, Objective -> wrapped module (precision, gradient averaging) -> backward -> clip -> optimiser
"""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import Objective, Step
from cellwright.errors import OptionError, TrainingDiverged
from cellwright.models.model import Model
from cellwright.train.options import FitOptions

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
        means = loss.means(work.minibatch.weight)
        work.terms = tuple(loss.terms)
        return loss.total_of(means), means


class Engine:
    """The objectives of one stage, set up on the devices."""

    def __init__(self, fabric: "Fabric", model: Model, objectives: Sequence[Objective], options: FitOptions) -> None:
        self.fabric = fabric
        self.objectives = objectives
        self.clip = options.gradient_clip
        self.losses = fabric.setup_module(_Losses(model, objectives))
        self.optimisers = [cast("torch.optim.Optimizer", fabric.setup_optimizers(_adam(o))) for o in objectives]

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
            self.fabric.backward(total)
            if self.clip is not None:
                clip_gradients(list(objective.trains.parameters()), self.clip)
            optimiser.step()
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


def is_main_process() -> bool:
    """Whether this process writes the run folder: the only one, or rank 0 of several (as torchrun and Fabric say)."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def make_fabric(options: FitOptions) -> "Fabric":
    """Fabric for the chosen device, precision and number of devices, launched."""
    # brings all of torch.compile along, four seconds of CPU; what has no stages to train, such as PCA, does without
    from lightning_fabric import Fabric

    # mps is not chosen by itself: NaN losses that the CPU does not have are reported for it
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device of FitOptions is 'cuda', but torch sees no CUDA device; use device='auto' or 'cpu'.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device of FitOptions is 'mps', but torch sees no Apple GPU; use device='auto' or 'cpu'.")
    strategy = "ddp" if options.devices > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=options.devices, strategy=strategy, precision=options.precision)
    fabric.launch()
    return fabric


def _adam(objective: Objective) -> torch.optim.Optimizer:
    chosen = objective.optimiser
    return torch.optim.AdamW(
        objective.trains.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused=True
    )


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scale all gradients by one factor if their common norm exceeds `max_norm`.

    torch's own scales always, by 1 where nothing is to be done: one more pass over every gradient and step.
    """
    gradients = [parameter.grad.view(-1) for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(float(torch.stack([gradient.dot(gradient) for gradient in gradients]).sum()))
    if norm > max_norm:
        torch._foreach_mul_(gradients, max_norm / (norm + 1e-6))
