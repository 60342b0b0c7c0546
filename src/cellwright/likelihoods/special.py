"""Special functions that stay exact in float32 where the textbook forms cancel.

log Gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + stirling_error(z)
t - log(1 + t) = log_gap(t, 1 + t)

A count's log-probability is written with these two as [Loader00] does: a normal approximation, Stirling's errors, and a
deviance that is never negative. Nothing large is subtracted from anything large: log Gamma(1e6) is 1.3e7, where float32
steps by 1, but its Stirling error is 8e-8.

References: [Loader00], the saddle-point form, as in R's dnbinom.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_FROM = 8.0  # from here on four terms of Stirling's series are exact to 1e-11; below, z is moved up by as much


def stirling_error(z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """By how much log Gamma(z) exceeds Stirling's formula, for z > 0."""
    small = z.clamp(max=_FROM)
    end = small + _FROM
    steps, _ = _rising(small)
    below = _series(end) + (small - 0.5) * torch.log(end / small) + torch.log(end**8 / steps) - _FROM
    return torch.where(z < _FROM, below, _series(z.clamp(min=_FROM)))


def stirling_error_slope(z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The derivative of `stirling_error`: digamma(z) - log z + 1 / (2 z), for z > 0."""
    small = z.clamp(max=_FROM)
    end = small + _FROM
    steps, slope = _rising(small)
    below = _series_slope(end) + torch.log(end / small) + 0.5 / small - 0.5 / end - slope / steps
    return torch.where(z < _FROM, below, _series_slope(z.clamp(min=_FROM)))


def log_gap(t: Float[Tensor, "*n"], log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The gap t - log(1 + t), never negative, for t > -1; `log_ratio` is log(1 + t), used where |t| is not small.

    Near zero the two cancel; there log(1 + t) = 2 artanh(v) with v = t / (2 + t), and t - 2 v = t v.
    """
    v = t / (2 + t)
    w = v * v
    odd = 1 / 3 + w * (1 / 5 + w * (1 / 7 + w * (1 / 9 + w * (1 / 11 + w * (1 / 13 + w / 15)))))
    return torch.where(v.abs() < 0.25, t * v - 2 * v * w * odd, t - log_ratio)


def _series(z: Tensor) -> Tensor:
    inverse = 1 / z
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))


def _series_slope(z: Tensor) -> Tensor:
    square = 1 / (z * z)
    return -square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))


def _rising(z: Tensor) -> tuple[Tensor, Tensor]:
    # z (z + 1) ... (z + 7) and its derivative; factors are paired from both ends, each pair is w plus a constant
    w = z * (z + 7)
    outer, inner = w * (w + 6), (w + 10) * (w + 12)
    return outer * inner, ((2 * w + 6) * inner + outer * (2 * w + 22)) * (2 * z + 7)
