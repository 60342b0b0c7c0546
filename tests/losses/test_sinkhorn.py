"""The divergence against closed forms, and against geomloss 0.3.1."""

import pytest
import torch

from cellwright.losses.sinkhorn import sinkhorn_divergence


def points(n, n_dims, seed=0):
    return torch.randn(n, n_dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_set_is_at_no_distance_from_itself():
    x = points(20, 3)
    assert sinkhorn_divergence(x, x.flip(0), blur=0.5).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("blur", [0.5, 1.0, 5.0])
def test_a_moved_set_is_at_half_the_squared_distance_that_it_was_moved(blur):
    x, shift = points(20, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    moved = sinkhorn_divergence(x, x + shift, blur=blur).item()
    assert moved == pytest.approx(shift.square().sum().item() / 2, rel=0.02)


def test_the_gradient_moves_every_point_along_the_shift():
    x, shift = points(20, 3).requires_grad_(), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (slope,) = torch.autograd.grad(sinkhorn_divergence(x, x.detach() + shift, blur=2.0), x)
    torch.testing.assert_close(slope, -shift.expand(20, 3) / 20, rtol=0.01, atol=1e-4)


def test_on_a_line_a_small_blur_pairs_points_in_their_order():
    x, y = points(12, 1), points(12, 1, seed=1) + 3
    matched = (x.sort(dim=0).values - y.sort(dim=0).values).square().mean().item() / 2
    assert sinkhorn_divergence(x, y, blur=0.05).item() == pytest.approx(matched, rel=0.02)


def test_a_large_blur_sees_the_means_only():
    x, y = points(12, 2), points(15, 2, seed=1) * 2 + 1
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum().item() / 2
    assert sinkhorn_divergence(x, y, blur=300.0).item() == pytest.approx(means, rel=1e-3)


# geomloss.SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.999, backend="tensorized") of the points below
@pytest.mark.parametrize(("blur", "value"), [(1.0, 1.8337763), (2.0, 1.4034252), (4.0, 1.0829952)])
def test_weighted_sets_are_as_far_apart_as_in_geomloss(blur, value):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(40, 3, generator=generator, dtype=torch.float64) * 1.5 + 0.7
    a, b = (torch.rand(n, generator=generator, dtype=torch.float64) for n in (30, 40))
    found = sinkhorn_divergence(x, y, blur=blur, first_weight=a, second_weight=b)
    assert found.item() == pytest.approx(value, rel=1e-3)


def test_the_gradient_is_that_of_finite_differences():
    x, y = points(8, 2).requires_grad_(), points(9, 2, seed=1) + 1
    (slope,) = torch.autograd.grad(sinkhorn_divergence(x, y, blur=2.0), x)
    step = torch.zeros(8, 2, dtype=torch.float64)
    step[3, 1] = 1e-4
    ends = [sinkhorn_divergence(x.detach() + sign * step, y, blur=2.0) for sign in (1, -1)]
    assert slope[3, 1].item() == pytest.approx(((ends[0] - ends[1]) / 2e-4).item(), rel=0.02)


def test_one_point_on_a_side_is_a_set():
    x, y = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    assert sinkhorn_divergence(x, y, blur=1.0).item() == pytest.approx(12.5, rel=1e-5)
