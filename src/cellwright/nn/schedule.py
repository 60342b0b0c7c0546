"""Noise schedule of a diffusion in continuous time, and the sampler that goes back through it.

    x (n_obs, n_latent) -noise-> x_t = alpha(t) x + sigma(t) epsilon, t in [0, 1]; alpha^2 + sigma^2 = 1
    x_t -ddim: an estimate of x at each of a few times-> x

A network predicts epsilon [Ho20] or v = alpha epsilon - sigma x [Salimans22]; together with x_t either gives x.
The schedule is the cosine of [Nichol21], equation 17, with time as a number and not as one of 4,000 steps. Where they
clip the last steps, time ends at `LATEST`: alpha is .016 there, so that an estimate of x from epsilon still exists.

References: [Ho20] denoising diffusion; [Nichol21] cosine schedule; [Salimans22] v; [Song21] DDIM.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

LATEST = 0.99
_OFFSET = 0.008  # s of equation 17: keeps the first steps from being too small to see
_FIRST = math.pi / 2 * _OFFSET / (1 + _OFFSET)  # the angle at t = 0

Prediction = Literal["epsilon", "v"]
# x_t and the time of each cell -> what x is estimated to be
Estimate = Callable[[Float[Tensor, "n_obs n_latent"], Float[Tensor, " n_obs"]], Float[Tensor, "n_obs n_latent"]]


def alpha(t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What is left of x at time t: cos(first angle + turn(t)) / cos(first angle)."""
    return torch.cos(_FIRST + _turn(t)) / math.cos(_FIRST)


def sigma(t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The standard deviation of the noise at time t."""
    # 1 - alpha^2 would cancel near t = 0
    return torch.sqrt(torch.sin(_turn(t)) * torch.sin(2 * _FIRST + _turn(t))) / math.cos(_FIRST)


def _turn(t: Tensor) -> Tensor:
    """How far the angle is from the first one."""
    return t * (math.pi / 2 / (1 + _OFFSET))


def noisy(
    x: Float[Tensor, "n_obs n_latent"], epsilon: Float[Tensor, "n_obs n_latent"], t: Float[Tensor, " n_obs"]
) -> Float[Tensor, "n_obs n_latent"]:
    """x_t."""
    return alpha(t)[:, None] * x + sigma(t)[:, None] * epsilon


def target(
    prediction: Prediction,
    x: Float[Tensor, "n_obs n_latent"],
    epsilon: Float[Tensor, "n_obs n_latent"],
    t: Float[Tensor, " n_obs"],
) -> Float[Tensor, "n_obs n_latent"]:
    """What the network is to predict."""
    return epsilon if prediction == "epsilon" else alpha(t)[:, None] * epsilon - sigma(t)[:, None] * x


def clean(
    prediction: Prediction,
    predicted: Float[Tensor, "n_obs n_latent"],
    x_t: Float[Tensor, "n_obs n_latent"],
    t: Float[Tensor, " n_obs"],
) -> Float[Tensor, "n_obs n_latent"]:
    """x, from what the network predicts at x_t."""
    a, s = alpha(t)[:, None], sigma(t)[:, None]
    return (x_t - s * predicted) / a if prediction == "epsilon" else a * x_t - s * predicted


def times(start: float, n_steps: int) -> list[float]:
    """`n_steps` equal steps from `start` down to 0."""
    return torch.linspace(start, 0, n_steps + 1, dtype=torch.float64).tolist()


def ddim(
    estimate: Estimate, x_t: Float[Tensor, "n_obs n_latent"], when: list[float]
) -> Float[Tensor, "n_obs n_latent"]:
    """From x_t at `when[0]` to x at `when[-1]`, deterministic: each step keeps the estimated x and epsilon."""
    for now, then in pairwise(when):
        t, s = (x_t.new_full((len(x_t),), time) for time in (now, then))
        x = estimate(x_t, t)
        epsilon = (x_t - alpha(t)[:, None] * x) / sigma(t)[:, None]
        x_t = noisy(x, epsilon, s)
    return x_t
