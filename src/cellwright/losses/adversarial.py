"""Adversarial losses: what a critic minimises, and what the network that it judges minimises.

    scores of a critic (n_obs,), or its logits (n_obs, n_batch) -> loss (n_obs,)

Wasserstein: the critic's scores differ as much as they can between real and generated cells, with a slope of one.
Logistic: the critic says which of two samples a point is from, in nats. Of batches: the critic names the batch.

References: [Arjovsky17] the Wasserstein distance by a critic; [Gulrajani17] the penalty on its slope, equation 3;
[Goodfellow14] the logistic losses; [Tzeng15] confusion, section 3.2;
[Mescheder18] the squared slope, equation 9.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

Critic = Callable[[Tensor], Tensor]  # (n_obs, n_in) -> (n_obs,)


def wasserstein_gap(of_real: Float[Tensor, " n_obs"], of_made: Float[Tensor, " n_obs"]) -> Float[Tensor, " n_obs"]:
    """Generated minus real; minus its mean is the distance, in the unit of the values, if the critic's slope is one."""
    return of_made - of_real


def gradient_penalty(
    critic: Critic,
    real: Float[Tensor, "n_obs n_in"],
    made: Float[Tensor, "n_obs n_in"],
    share: Float[Tensor, "n_obs 1"],
) -> Float[Tensor, " n_obs"]:
    """(|slope| - 1)^2 of the critic at `share * real + (1 - share) * made`, where a distance needs a slope of one.

    It is differentiated again, so the critic has no kernel in it, and no normalisation over cells, by which the slope
    of one cell's score would depend on the others. Also without gradients (in validation) it takes the slope.
    """
    with torch.enable_grad():
        between = (share * real + (1 - share) * made).detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return (slope.norm(dim=1) - 1).square()


def squared_slope(critic: Critic, points: Float[Tensor, "n_obs n_in"]) -> Float[Tensor, " n_obs"]:
    """|slope|^2 of the critic at each point (R1): what damps the circling of a critic and what it judges."""
    with torch.enable_grad():
        at = points.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        return slope.square().sum(dim=1)


def tell_apart(of_first: Float[Tensor, " n_obs"], of_second: Float[Tensor, " n_obs"]) -> Float[Tensor, " n_obs"]:
    """-log p(first | its point) - log p(second | its point); scores are log odds of "first"; 2 log 2 by guessing."""
    return functional.softplus(-of_first) + functional.softplus(of_second)


def pass_for_first(of_second: Float[Tensor, " n_obs"]) -> Float[Tensor, " n_obs"]:
    """-log p(first | a point of the second): what the maker of the second minimises (the non-saturating form)."""
    return functional.softplus(-of_second)


def name_batch(logits: Float[Tensor, "n_obs n_batch"], batch: Int[Tensor, " n_obs"]) -> Float[Tensor, " n_obs"]:
    """-log p(batch of the cell); zero for a cell whose batch is unknown (-1)."""
    return functional.cross_entropy(logits, batch, reduction="none", ignore_index=-1)


def hide_batch(logits: Float[Tensor, "n_obs n_batch"], shares: Float[Tensor, " n_batch"]) -> Float[Tensor, " n_obs"]:
    """How far the critic's answer is from the batches' shares: KL(shares || p), zero where it can only guess.

    Unlike minus the critic's own loss it is bounded below, so that a critic that is far off pushes no latent away.
    """
    log_p = torch.log_softmax(logits, dim=1)
    return functional.kl_div(log_p, shares.expand_as(log_p), reduction="none").sum(dim=1)
