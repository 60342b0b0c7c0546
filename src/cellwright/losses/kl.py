"""Kullback-Leibler divergence of a diagonal Gaussian from the standard normal, in nats.

KL(N(mean, scale^2) || N(0, I)) = sum over dimensions of (mean^2 + scale^2 - 1) / 2 - log scale      [Kingma14,
appendix B]
"""

from jaxtyping import Float
from torch import Tensor


def kl_to_standard_normal(
    mean: Float[Tensor, "n_obs n_latent"], log_scale: Float[Tensor, "n_obs n_latent"]
) -> Float[Tensor, " n_obs"]:
    """The divergence of each cell's posterior."""
    return (0.5 * (mean.square() + (2 * log_scale).exp() - 1) - log_scale).sum(dim=-1)
