"""Draw and divergence equal those of torch's distributions, and so do their gradients."""

import numpy as np
import torch
from torch.distributions import Normal, kl_divergence

from cellwright.losses.gaussian_latent import LEAST_VARIANCE, GaussianLatent


def _by_autograd(parameters, noise):
    mean, log_variance = parameters.chunk(2, dim=1)
    q = Normal(mean, (log_variance.exp() + LEAST_VARIANCE).sqrt())
    return mean + q.scale * noise, kl_divergence(q, Normal(torch.zeros_like(mean), 1.0)).sum(dim=1)


def test_values_and_gradients_equal_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    # log variances from far below the least variance to wide
    parameters = torch.randn(50, 6, generator=generator, dtype=torch.float64) * 4
    noise, by_z = torch.randn(2, 50, 3, generator=generator, dtype=torch.float64)
    by_kl = torch.randn(50, generator=generator, dtype=torch.float64)
    results = []
    for draw in (lambda p, n: GaussianLatent(p).draw(n), _by_autograd):
        leaf = parameters.clone().requires_grad_()
        z, kl = draw(leaf, noise)
        ((z * by_z).sum() + (kl * by_kl).sum()).backward()
        results.append((z.detach(), kl.detach(), leaf.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_standard_normal_is_at_divergence_zero_and_a_mean_costs_half_its_square():
    log_variance = torch.full((3, 2), np.log(1 - LEAST_VARIANCE))
    kl = [
        GaussianLatent(torch.cat([torch.full((3, 2), m), log_variance], dim=1)).draw(torch.zeros(3, 2))[1]
        for m in (0.0, 2.0)
    ]
    torch.testing.assert_close(kl[0], torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(kl[1], torch.full((3,), 4.0))


def test_draws_have_the_mean_and_variance():
    latent = GaussianLatent(torch.tensor([[1.0, -3.0, 0.5, -2.0]]).expand(40_000, 4))
    z, _ = latent.draw(torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0)))
    error = (z.mean(dim=0) - latent.mean[0]) / latent.variance[0].sqrt() * np.sqrt(40_000)
    assert error.abs().max() < 5
    assert (z.var(dim=0) / latent.variance[0] - 1).abs().max() < 5 * np.sqrt(2 / 40_000)
