"""Fusion: the posterior of a cell from those of the modalities that were measured on it.

    mean, log variance of each modality (n_obs, n_modalities, n_latent), which were measured -> q(z | x) (n_obs, ...)

product   the prior N(0, I) times the Gaussians: precisions add up, so modalities that agree make a cell more certain
mixture   one of the Gaussians at random, in training; the Gaussian of the mixture's mean and variance otherwise

An absent modality is no zero and adds nothing; a cell without any has the prior.

References: [Wu18] product of experts; [Shi19] mixture of experts.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cellwright.losses.gaussian_latent import GaussianLatent

Fusion = Literal["product", "mixture"]


@dataclass(frozen=True, eq=False)
class Experts:
    """What each modality says of the latent of each cell, and whether it was measured."""

    mean: Float[Tensor, "n_obs n_modalities n_latent"]
    log_variance: Float[Tensor, "n_obs n_modalities n_latent"]
    present: Bool[Tensor, "n_obs n_modalities"]

    def fused(self, fusion: Fusion) -> GaussianLatent:
        """q(z | x) of each cell from all that is present."""
        return _product(self) if fusion == "product" else _mixture(self)

    def only(self, present: Bool[Tensor, "n_obs n_modalities"]) -> "Experts":
        """The same with no more modalities than these."""
        return Experts(self.mean, self.log_variance, self.present & present)


def one_of(
    present: Bool[Tensor, "n_obs n_modalities"], uniform: Float[Tensor, " n_obs"]
) -> Bool[Tensor, "n_obs n_modalities"]:
    """One of the modalities that each cell has, all equally likely for uniform numbers in (0, 1)."""
    n_there = present.sum(dim=1)
    wanted = (uniform * n_there).long().minimum((n_there - 1).clamp(min=0))  # 1 - 2^-25 rounds up to one
    place = present.cumsum(dim=1) - 1
    return present & (place == wanted[:, None])


def _product(experts: Experts) -> GaussianLatent:
    precision = torch.exp(-experts.log_variance) * experts.present[:, :, None]
    total = 1 + precision.sum(dim=1)  # the one is the prior's
    mean = (experts.mean * precision).sum(dim=1) / total
    return GaussianLatent(torch.cat([mean, -total.log()], dim=1))


def _mixture(experts: Experts) -> GaussianLatent:
    there = experts.present[:, :, None].to(experts.mean.dtype)
    n_there = there.sum(dim=1).clamp(min=1)
    mean = (experts.mean * there).sum(dim=1) / n_there
    squares = ((experts.log_variance.exp() + experts.mean.square()) * there).sum(dim=1) / n_there
    variance = (squares - mean.square()).clamp(min=1e-8)
    # without any modality the prior
    variance = torch.where(experts.present.any(dim=1, keepdim=True), variance, 1.0)
    return GaussianLatent(torch.cat([mean, variance.log()], dim=1))
