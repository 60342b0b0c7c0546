"""Sinkhorn divergence: how far two sets of points are from each other, by the cheapest way to move one onto the other.

    first (n, n_dims), second (m, n_dims), their weights -> one number, in squared units of the points

With cost |x - y|^2 / 2 and entropy weight epsilon = blur^2, OT is the cost of the blurred plan plus its entropy:
divergence = OT(first, second) - OT(first, first) / 2 - OT(second, second) / 2. It is zero for equal sets and positive
else; without the two last terms the minimum would shrink a set into its mean. A small blur gives half the squared
Wasserstein-2 distance, a large one half the squared distance of the means.

The potentials are found in logarithms while epsilon falls from the squared diameter, by averaged updates; the gradient
is that at the optimum (the envelope theorem), so that none of the iterations is differentiated. A blur far below the
distance of neighbours in a minibatch needs many more iterations than are made here; then the gradient is too small.
The values agree with geomloss (`tests/losses/test_sinkhorn.py`).

References: [Cuturi13] the entropic plan; [Feydy19] the divergence, its algorithm and its gradient.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SCALING = 0.7  # of the blur from one step to the next
FINAL_STEPS = 20  # at the last epsilon; the gradient is then within 4 % of the converged one at a blur of 1, 1 % at 2


def sinkhorn_divergence(
    first: Float[Tensor, "n n_dims"],
    second: Float[Tensor, "m n_dims"],
    *,
    blur: float,
    first_weight: Float[Tensor, " n"] | None = None,
    second_weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """The divergence, differentiable once in both sets; weights are normalised to sum to one, and equal if not given.

    `blur` is the distance below which points are not told apart, in the unit of the points.
    """
    a, b = _shares(first, first_weight), _shares(second, second_weight)
    with torch.no_grad():
        epsilons = _falling(first, second, blur)
        f, g = _potentials(first, second, a, b, epsilons)
        f_self, _ = _potentials(first, first, a, a, epsilons)
        g_self, _ = _potentials(second, second, b, b, epsilons)
    epsilon = blur**2
    # each potential is extended from fixed points to the moving ones: that is its gradient at the optimum
    of_first = _softmin(first, second.detach(), b, g, epsilon) - _softmin(first, first.detach(), a, f_self, epsilon)
    of_second = _softmin(second, first.detach(), a, f, epsilon) - _softmin(second, second.detach(), b, g_self, epsilon)
    return (a * of_first).sum() + (b * of_second).sum()


def _shares(points: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return points.new_full((len(points),), 1 / len(points))
    return (weight / weight.sum()).detach()


def _falling(first: Tensor, second: Tensor, blur: float) -> list[float]:
    """Epsilon of each step: from the squared diameter down to blur^2, where the last steps stay."""
    every = torch.cat([first, second])
    diameter = float((every.amax(dim=0) - every.amin(dim=0)).norm())
    epsilons, radius = [], diameter
    while radius > blur:
        epsilons.append(radius**2)
        radius *= SCALING
    return epsilons + [blur**2] * FINAL_STEPS


def _potentials(x: Tensor, y: Tensor, a: Tensor, b: Tensor, epsilons: list[float]) -> tuple[Tensor, Tensor]:
    """The dual potentials of x and of y at the last epsilon."""
    cost = _cost(x, y)
    log_a, log_b = a.log(), b.log()
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for epsilon in epsilons:
        f_next = -epsilon * torch.logsumexp(log_b + (g - cost) / epsilon, dim=1)
        g_next = -epsilon * torch.logsumexp(log_a + (f - cost.T) / epsilon, dim=1)
        f, g = (f + f_next) / 2, (g + g_next) / 2
    return f, g


def _softmin(x: Tensor, y: Tensor, weight_of_y: Tensor, potential_of_y: Tensor, epsilon: float) -> Tensor:
    return -epsilon * torch.logsumexp(weight_of_y.log() + (potential_of_y - _cost(x, y)) / epsilon, dim=1)


def _cost(x: Tensor, y: Tensor) -> Tensor:
    # not torch.cdist, whose slope at distance zero is not a number
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T
    return squares.clamp(min=0) / 2
