"""The discrepancy between groups is that of the metric, pair by pair; its gradient is that of finite differences."""

from itertools import combinations

import numpy as np
import pytest
import torch

from cellwright.losses import mmd as loss
from cellwright.losses.mmd import mmd_between_groups
from cellwright.metrics import mmd as metric


def normal(n_obs, seed, n_latent=3, dtype=torch.float32):
    return torch.randn(n_obs, n_latent, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def two_groups(sizes=(30, 20)):  # 1,225 pairs, an odd number: the median is one of them
    latent = torch.cat([normal(sizes[0], 0), 1.5 * normal(sizes[1], 1) + 0.5])
    return latent, torch.repeat_interleave(torch.arange(2), torch.tensor(sizes))


def by_definition(latent, group):
    """[Gretton12, equation 3] of every pair of groups, with the median over all cells."""
    x = latent.double().numpy()
    squared = ((x[:, None] - x) ** 2).sum(axis=2)
    typical = np.median(squared[np.triu_indices(len(x), k=1)])
    k = np.mean([np.exp(-squared / (2 * factor**2 * typical)) for factor in loss.FACTORS], axis=0)
    rows = [np.flatnonzero(group.numpy() == name) for name in np.unique(group.numpy())]
    rows = [each for each in rows if len(each) > 1]

    def within(a):
        return k[np.ix_(a, a)][~np.eye(len(a), dtype=bool)].mean()

    return np.mean([within(a) + within(b) - 2 * k[np.ix_(a, b)].mean() for a, b in combinations(rows, 2)])


def test_two_groups_have_the_discrepancy_of_the_metric():
    latent, group = two_groups()
    # up to three features the metric's components are a rotation
    expected = metric.unbiased_mmd(latent[group == 0].numpy(), latent[group == 1].numpy())
    assert float(mmd_between_groups(latent, group).mean()) == pytest.approx(expected, rel=1e-4)
    assert loss.FACTORS == metric.FACTORS


def test_several_groups_have_the_mean_over_their_pairs():
    group = torch.tensor([0] * 12 + [2] * 7 + [3] * 6 + [5] * 10)
    latent = normal(35, 0) + group[:, None] * 0.4
    assert float(mmd_between_groups(latent, group).mean()) == pytest.approx(by_definition(latent, group), rel=1e-4)


def test_it_is_unbiased_around_zero_for_groups_that_are_alike():
    group = torch.arange(40) % 2
    found = np.array([float(mmd_between_groups(normal(40, seed), group).mean()) for seed in range(200)])
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(200)
    assert found.min() < 0 < found.max()


def test_its_gradient_is_that_of_finite_differences_at_a_fixed_median(monkeypatch):
    latent, group = two_groups((7, 5))
    typical = torch.cdist(latent, latent).square()[*torch.triu_indices(12, 12, 1)].median()
    monkeypatch.setattr(torch.Tensor, "median", lambda self: typical.to(self))
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # float32 has too few digits for differences
    assert torch.autograd.gradcheck(lambda z: mmd_between_groups(z, group), latent.double().requires_grad_())


def test_steps_down_its_gradient_bring_groups_together():
    latent, group = two_groups()
    start = float(mmd_between_groups(latent, group).mean())
    for _ in range(100):
        latent.requires_grad_()
        (slope,) = torch.autograd.grad(mmd_between_groups(latent, group).mean(), latent)
        latent = (latent - 5 * slope).detach()
    assert float(mmd_between_groups(latent, group).mean()) < start / 10


def test_the_unit_of_the_latent_does_not_matter():
    latent, group = two_groups()
    torch.testing.assert_close(mmd_between_groups(1000 * latent, group), mmd_between_groups(latent, group))


def test_cells_of_no_group_and_lone_cells_are_in_no_pair():
    latent, group = two_groups()
    latent = torch.cat([latent, latent[:4] + 9])  # 54 cells have an odd number of pairs again
    found = mmd_between_groups(latent, torch.cat([group, torch.tensor([-1, -1, -1, 4])]))
    assert not found[-4:].any()
    # they are among the cells whose distances the median is of, and nothing else
    expected = by_definition(latent, torch.cat([group, torch.tensor([6, 7, 8, 9])]))
    assert float(found.mean()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("latent", "group"),
    [
        pytest.param(normal(6, 0), torch.zeros(6, dtype=torch.long), id="one-group"),
        pytest.param(normal(6, 0), torch.full((6,), -1), id="no-group"),
        pytest.param(normal(3, 0), torch.tensor([0, 1, 1]), id="one-cell-and-a-group"),
        pytest.param(torch.ones(6, 2), torch.arange(6) % 2, id="equal-cells"),
    ],
)
def test_where_there_is_nothing_to_compare_it_is_zero_and_can_be_differentiated(latent, group):
    latent.requires_grad_()
    found = mmd_between_groups(latent, group)
    found.sum().backward()
    assert not found.any()
    assert not latent.grad.any()
