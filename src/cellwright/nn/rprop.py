"""Rprop: many numbers brought to the maximum of one function each, by the sign of its slope alone.

    numbers, their slopes -> longer steps while the sign stays, shorter ones after it has turned -> numbers

Every number goes its own way, so that no step size has to fit all of them: theta of a gene with ten molecules and of
one with a million.

References: [Riedmiller93], with the factors of its section III.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

FIRST, LEAST, MOST = 0.3, 1e-3, 1.0  # lengths of steps, in the unit of the numbers
LONGER, SHORTER = 1.2, 0.5


def climb(numbers: Sequence[Tensor], slopes: Callable[[], Sequence[Tensor]], n_steps: int) -> None:
    """Change `numbers` in place, in `n_steps` steps; `slopes` are those at their present values, of the same shapes."""
    step = [torch.full_like(number, FIRST) for number in numbers]
    before = [torch.zeros_like(number) for number in numbers]
    for _ in range(n_steps):
        now = slopes()
        for number, length, slope, last in zip(numbers, step, now, before, strict=True):
            turn = (slope * last).sign()
            length *= torch.where(turn > 0, LONGER, torch.where(turn < 0, SHORTER, 1.0))
            length.clamp_(LEAST, MOST)
            with torch.no_grad():
                number += length * slope.sign()
        before = list(now)
