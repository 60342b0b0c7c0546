"""Adam: one fused pass over each parameter, its gradient and its two moments.

gradients -common norm-> scaled if it is too large -> parameters, in place

The arithmetic is torch's; its optimiser classes are not used, because the first of them that is made loads all of
torch.compile (four seconds of CPU at the start of every fit).

References: [Kingma15] Adam; [Loshchilov19] decoupled weight decay.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from cellwright.core.objective import AdamOptions

EPS = 1e-8
_LARGE = 2**14


class Adam:
    """The parameters of one objective, with their moments."""

    def __init__(self, parameters: Iterable[nn.Parameter], options: AdamOptions) -> None:
        self.parameters = list(parameters)
        self.options = options
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, max_norm: float | None = None) -> None:
        """Move the parameters that have a gradient; all gradients by one factor if their norm exceeds `max_norm`."""
        with_gradient = {i: p.grad for i, p in enumerate(self.parameters) if p.grad is not None}
        used, gradients = list(with_gradient), list(with_gradient.values())
        if not used:
            return
        scale = None if max_norm is None else (_norm(gradients) / max_norm).clamp(min=1)
        if scale is not None and scale.device.type == "mps":  # whose fused step does not look at the scale
            torch._foreach_div_(gradients, scale)
            scale = None
        adamw(
            [self.parameters[i] for i in used],
            gradients,
            [self.means[i] for i in used],
            [self.squares[i] for i in used],
            [],
            [self.steps[i] for i in used],
            fused=True,
            grad_scale=scale,  # divided by as each gradient is read; to scale them before is one more pass over all
            amsgrad=False,
            beta1=self.options.beta_1,
            beta2=self.options.beta_2,
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
            eps=EPS,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, by name."""
        parts = {"mean": self.means, "square": self.squares, "step": self.steps}
        return {f"{name}/{i}": tensor for name, tensors in parts.items() for i, tensor in enumerate(tensors)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    # the many small ones as one: a call costs more than their sum
    flat = [gradient.reshape(-1) for gradient in gradients]
    large = [gradient for gradient in flat if len(gradient) >= _LARGE]
    small = [gradient for gradient in flat if len(gradient) < _LARGE]
    together = [*large, torch.cat(small)] if small else large
    return torch.stack([gradient.dot(gradient) for gradient in together]).sum().sqrt()
