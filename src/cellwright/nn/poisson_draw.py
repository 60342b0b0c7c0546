"""Poisson draws that a gradient can pass, for networks whose output is judged as counts.

    rate (n_obs, n_vars), uniform numbers -> counts;  counts -transform-> values with a gradient by the rate

The derivative of an expectation over counts by their rate is d/d rate E f(X) = E[f(X + 1) - f(X)], which follows from
d/d rate p(x) = p(x - 1) - p(x). For f of values y(X) it is, to first order in f, E[f'(y) (y(X + 1) - y(X))]: the values
get the slope of one more molecule, with no relaxation of the counts themselves.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.nn.transform import TARGET_SUM, Transform

_MANY = 40.0  # from this rate on the quantile is taken from an expansion; its error is below a count
_ENOUGH = 121  # a multiple of the next and one: no count of a smaller rate is above, but for one in 10^24
_ROUNDING = 1e-6  # of a sum of probabilities in float32: above the rest, no count is rarer than this
_TOGETHER = 3  # steps between two looks at which entries are done, which cost as much as a step


@torch.no_grad()
def poisson(
    rate: Float[Tensor, "n_obs n_vars"], uniform: Float[Tensor, "n_obs n_vars"]
) -> Float[Tensor, "n_obs n_vars"]:
    """The Poisson quantiles of uniform numbers in (0, 1): the smallest counts whose probability reaches them.

    From a rate of 40 on it is the expansion of [Cornish38] to its second term.
    """
    counts, rates, uniforms = torch.zeros(rate.numel(), device=rate.device), rate.flatten(), uniform.flatten()
    many = torch.nonzero(rates > _MANY)[:, 0]  # nearly nowhere
    r, q = rates[many], torch.special.ndtri(uniforms[many])
    counts[many] = (r + r.sqrt() * q + (q.square() - 1) / 6).round().clamp(min=0)
    at = torch.nonzero((uniforms > torch.exp(-rates)) & (rates <= _MANY))[:, 0]
    r, left = rates[at], uniforms[at]
    p, count = torch.exp(-r), torch.ones_like(r)
    left -= p  # of the uniform number, above the probability of all counts up to k
    for k in range(1, _ENOUGH):
        p *= r / k
        left -= p
        count += left > _ROUNDING
        if k % _TOGETHER == 0:
            counts[at] = count
            going = torch.nonzero(left > _ROUNDING)[:, 0]
            if not len(going):
                break
            at, r, left, p, count = (each[going] for each in (at, r, left, p, count))
    return counts.reshape(rate.shape)


def transformed_counts(
    transform: Transform, counts: Float[Tensor, "n_obs n_vars"], rate: Float[Tensor, "n_obs n_vars"]
) -> Float[Tensor, "n_obs n_vars"]:
    """The transform of the counts, whose gradient by the rate is what one more molecule changes."""
    with torch.no_grad():
        value, next_value = (_apply(transform, counts + more, counts.sum(dim=1, keepdim=True)) for more in (0, 1))
    return value + (rate - rate.detach()) * (next_value - value)


def _apply(transform: Transform, counts: Tensor, library: Tensor) -> Tensor:
    if transform == "none":
        return counts
    scale = TARGET_SUM / library.clamp(min=1) if transform == "log_normalise" else 1.0
    return torch.log1p(counts * scale)
