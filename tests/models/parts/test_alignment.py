"""Alignments: what they say of modalities that are alike and that are not, and whom they leave alone."""

import pytest
import torch

from cellwright.losses.mmd import mmd_between_groups
from cellwright.losses.sinkhorn import sinkhorn_divergence
from cellwright.models.parts.alignment import ALIGNMENTS

GROUP = torch.arange(60) % 2
EVEN = torch.ones(60)


def aligner(name, **options):
    torch.manual_seed(0)
    return ALIGNMENTS[name](name=name, **options).build(3, 16, 2)


def cells(gap=0.0):
    z = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    return z + gap * GROUP[:, None]


def trained(name, z):
    """The aligner, after its critic, if it has one, has looked at z."""
    made = aligner(name)
    if name == "adversarial":
        adam = torch.optim.Adam(made.parameters(), lr=1e-2)
        for _ in range(200):
            adam.zero_grad()
            made.critic_loss(z, GROUP, EVEN).per_cell.mean().backward()
            adam.step()
    return made


@pytest.mark.parametrize("name", ["adversarial", "mmd", "sinkhorn"])
def test_modalities_that_lie_apart_cost_more_and_are_drawn_together(name):
    z = cells(gap=3.0).requires_grad_()
    apart = trained(name, z.detach()).loss(z, GROUP, EVEN).mean()
    together = trained(name, cells()).loss(cells(), GROUP, EVEN).mean()
    assert apart > together + 0.1
    (slope,) = torch.autograd.grad(apart, z)
    moved = -slope
    assert (moved[GROUP == 0].mean(dim=0) - moved[GROUP == 1].mean(dim=0)).sum() > 0  # towards the other


def test_mmd_and_sinkhorn_are_the_losses_of_these_names():
    z = cells(gap=1.0)
    torch.testing.assert_close(aligner("mmd").loss(z, GROUP, EVEN), mmd_between_groups(z, GROUP))
    expected = sinkhorn_divergence(z[GROUP == 0], z[GROUP == 1], blur=0.7)
    torch.testing.assert_close(aligner("sinkhorn", blur=0.7).loss(z, GROUP, EVEN), expected.expand(60))


def test_sinkhorn_weighs_cells():
    z, weight = cells(gap=1.0), torch.where(torch.arange(60) < 30, 0.0, 1.0)
    found = aligner("sinkhorn").loss(z, GROUP, weight)
    torch.testing.assert_close(found[30:], aligner("sinkhorn").loss(z[30:], GROUP[30:], weight[30:]))


def test_a_critic_cannot_earn_more_by_a_modality_of_more_cells():
    z, unequal = cells(), (torch.arange(60) < 6).long()
    terms = aligner("adversarial").critic_loss(z, unequal, EVEN).terms
    # an untrained critic says nearly even odds of each, and both modalities count the same
    alone = torch.nn.functional.cross_entropy(aligner("adversarial").critic(z), unequal, reduction="none")
    expected = (alone[unequal == 0].mean() + alone[unequal == 1].mean()) / 2
    assert terms["modality"].mean().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", list(ALIGNMENTS))
def test_one_modality_alone_is_left_alone(name):
    z = cells().requires_grad_()
    for group in (torch.zeros(60, dtype=torch.int64), torch.full((60,), -1)):
        loss = aligner(name).loss(z, group, EVEN)
        assert loss.shape == (60,)
        assert torch.isfinite(loss).all()
        (slope,) = torch.autograd.grad(loss.sum(), z)
        assert not slope.any()
