"""Engine: one optimiser step of an objective, on any device and any number of them, through Lightning Fabric.

Minibatch, Objective -> wrapped module (precision, gradient averaging) -> backward -> clip -> optimiser
"""

import math
import os
from collections.abc import Sequence
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import Loss, Objective, Step
from cellwright.errors import OptionError, TrainingDiverged
from cellwright.models.model import Model
from cellwright.train.options import FitOptions


class _Work:
    """One call of one objective.

    No dataclass on purpose: Fabric rebuilds the dataclasses that it finds among the arguments of a module to change
    their precision, and cannot rebuild frozen ones; it leaves objects that it does not know alone.
    """

    def __init__(self, number: int, minibatch: Minibatch, step: Step) -> None:
        self.number, self.minibatch, self.step = number, minibatch, step


class _Losses(nn.Module):
    """Every objective is called through this module: a loss bound to the bare model would train unsynchronised."""

    def __init__(self, model: Model, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.model = model
        self.objectives = objectives

    def forward(self, work: "tuple[_Work]") -> tuple[Tensor, dict[str, Tensor]]:
        (piece,) = work
        loss = self.objectives[piece.number].loss(piece.minibatch, piece.step)
        total = loss.total(piece.minibatch.weight)
        return total, _means(loss, piece.minibatch.weight)


class Engine:
    """The objectives of one stage, set up on the devices."""

    def __init__(self, fabric: Fabric, model: Model, objectives: Sequence[Objective], options: FitOptions) -> None:
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
            total, parts = self.losses((_Work(number, minibatch, step),))
            terms |= self._named(objective, parts, total)
            self._refuse_divergence(terms, f"in epoch {step.epoch}, step {index}")
            self.fabric.backward(total)
            if self.clip is not None:
                self.fabric.clip_gradients(self.losses, optimiser, max_norm=self.clip, error_if_nonfinite=False)
            optimiser.step()
        return terms

    def evaluate(self, minibatch: Minibatch, step: Step) -> dict[str, float]:
        """The mean of each loss term, without a step."""
        terms: dict[str, float] = {}
        for number, objective in enumerate(self.objectives):
            total, parts = self.losses((_Work(number, minibatch, step),))
            terms |= self._named(objective, parts, total)
        self._refuse_divergence(terms, "on the validation cells")
        return terms

    def _named(self, objective: Objective, parts: dict[str, Tensor], total: Tensor) -> dict[str, float]:
        """Terms and total by name: `kl`, `loss`; of several objectives `critic/loss`, and the first one's as `loss`."""
        values = {name: float(value) for name, value in {**parts, "loss": total.detach()}.items()}
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


def make_fabric(options: FitOptions) -> Fabric:
    """Fabric for the chosen device, precision and number of devices, launched."""
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


def _means(loss: Loss, weight: Tensor) -> dict[str, Tensor]:
    return {name: (term.detach() * weight).sum() / weight.sum() for name, term in loss.terms.items()}
