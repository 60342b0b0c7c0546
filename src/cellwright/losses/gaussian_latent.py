"""Gaussian latent: a diagonal Gaussian over the latent, one draw from it, and its divergence from the standard normal.

    parameters (n_obs, 2 n_latent) = mean, log variance; noise (n_obs, n_latent) -> z (n_obs, n_latent), KL (n_obs,)

z = mean + sqrt(variance) noise;  KL = sum over dimensions of (mean^2 + variance - 1 - log variance) / 2, in nats.

Both come from one function with gradients by hand: of the forty small operations that autograd would run, each costs
more than its arithmetic.

References: [Kingma14], section 2.4 (the draw) and appendix B (the divergence).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

LEAST_VARIANCE = 1e-4  # far below any width that a decoder can tell apart; as in scvi-tools


@dataclass(frozen=True, eq=False)
class GaussianLatent:
    """q(z | x) of each cell, from the 2 n_latent numbers that an encoder gives."""

    parameters: Float[Tensor, "n_obs two_n_latent"]

    @property
    def mean(self) -> Float[Tensor, "n_obs n_latent"]:
        """The mean."""
        return self.parameters.chunk(2, dim=1)[0]

    @property
    def variance(self) -> Float[Tensor, "n_obs n_latent"]:
        """The variance, `LEAST_VARIANCE` at least."""
        return self.parameters.chunk(2, dim=1)[1].exp() + LEAST_VARIANCE

    def draw(
        self, noise: Float[Tensor, "n_obs n_latent"]
    ) -> tuple[Float[Tensor, "n_obs n_latent"], Float[Tensor, " n_obs"]]:
        """One draw for standard normal noise, and KL(q || N(0, I)); differentiable once, in the parameters."""
        z, kl = _Draw.apply(self.parameters, noise)
        return z, kl

    def sample(self, generator: Generator) -> Float[Tensor, "n_obs n_latent"]:
        """One draw of each cell with a generator, for what is not differentiated."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.variance.sqrt() * noise


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = parameters.chunk(2, dim=1)
        free = log_variance.exp()
        variance = free + LEAST_VARIANCE
        scaled = noise * variance.sqrt()
        ctx.save_for_backward(mean, free, variance, scaled)
        return mean + scaled, 0.5 * (mean.square() + variance - 1 - variance.log()).sum(dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_z: Tensor, by_kl: Tensor) -> tuple[Tensor, None]:
        mean, free, variance, scaled = ctx.saved_tensors
        by_kl = by_kl[:, None]
        by_mean = torch.addcmul(by_z, by_kl, mean)
        # d z / d variance = scaled / (2 variance);  d KL / d variance = (1 - 1 / variance) / 2
        by_variance = (by_z * scaled + by_kl * (variance - 1)) / (2 * variance)
        return torch.cat([by_mean, by_variance * free], dim=1), None
