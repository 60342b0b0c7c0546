"""Experts are multiplied and mixed as Gaussians are; what was not measured says nothing."""

import numpy as np
import pytest
import torch

from cellwright.losses.gaussian_latent import LEAST_VARIANCE
from cellwright.models.parts.fusion import Experts, one_of


def experts(present):
    generator = torch.Generator().manual_seed(0)
    shape = (len(present), len(present[0]), 4)
    mean, log_variance = (torch.randn(shape, generator=generator) for _ in range(2))
    return Experts(mean, log_variance, torch.tensor(present))


def test_a_product_is_the_normalised_product_of_the_densities():
    """Against the density on a grid, of one dimension: prior times both experts."""
    both = experts([[True, True]])
    q = both.fused("product")
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    for d in range(4):
        log_density = -0.5 * z**2
        for m in range(2):
            mean, variance = both.mean[0, m, d].double(), both.log_variance[0, m, d].double().exp()
            log_density = log_density - 0.5 * (z - mean) ** 2 / variance
        weight = torch.softmax(log_density, dim=0)
        mean = (weight * z).sum()
        assert q.mean[0, d].item() == pytest.approx(mean.item(), abs=1e-5)
        assert q.variance[0, d].item() == pytest.approx(
            (weight * (z - mean) ** 2).sum().item() + LEAST_VARIANCE, abs=1e-5
        )


def test_a_mixture_has_the_moments_of_draws_from_experts_at_random():
    both = experts([[True, True, False]])
    q = both.fused("mixture")
    rng = np.random.default_rng(0)
    which = rng.integers(2, size=400_000)
    mean, sd = (values[0].double().numpy()[which] for values in (both.mean, (both.log_variance / 2).exp()))
    drawn = mean + sd * rng.standard_normal(mean.shape)
    np.testing.assert_allclose(q.mean[0], drawn.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(q.variance[0], drawn.var(axis=0), rtol=0.01)


@pytest.mark.parametrize("fusion", ["product", "mixture"])
def test_what_was_not_measured_changes_nothing(fusion):
    some = experts([[True, False], [False, True], [False, False]])
    other = Experts(
        torch.where(some.present[:, :, None], some.mean, 9.0),
        torch.where(some.present[:, :, None], some.log_variance, -3.0),
        some.present,
    )
    first, second = some.fused(fusion), other.fused(fusion)
    assert torch.equal(first.parameters, second.parameters)
    prior = first.parameters[2]
    torch.testing.assert_close(prior, torch.zeros(8))  # mean 0, log variance 0


def test_one_expert_of_a_mixture_is_itself():
    alone = experts([[False, True]])
    q = alone.fused("mixture")
    torch.testing.assert_close(q.mean[0], alone.mean[0, 1])
    torch.testing.assert_close(q.variance[0], alone.log_variance[0, 1].exp() + LEAST_VARIANCE)


def test_each_modality_that_a_cell_has_is_the_one_equally_often():
    present = torch.tensor([[True, False, True, True]]).repeat(30_000, 1)
    chosen = one_of(present, torch.rand(30_000, generator=torch.Generator().manual_seed(0)))
    assert (chosen.sum(dim=1) == 1).all()
    np.testing.assert_allclose(chosen.float().mean(dim=0), [1 / 3, 0, 1 / 3, 1 / 3], atol=0.015)


def test_the_ends_of_the_uniform_numbers_choose_the_first_and_the_last():
    present = torch.tensor([[False, True, True], [False, False, False]])
    assert one_of(present, torch.tensor([0.0, 0.0])).tolist() == [[False, True, False], [False] * 3]
    assert one_of(present, torch.tensor([1.0, 1.0])).tolist() == [[False, False, True], [False] * 3]
