"""Loss adds weighted terms; Step knows how far a warm-up has come."""

import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Loss, Step


def test_total_is_the_weighted_mean_of_the_weighted_terms():
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([10.0, 20.0], requires_grad=True)
    loss = Loss({"a": a, "b": b}, weights={"b": 0.5})
    assert loss.per_cell.tolist() == [6.0, 12.0]
    total, means = loss.total(torch.tensor([1.0, 3.0]))
    assert total.item() == (6 + 3 * 12) / 4
    assert means.tolist() == [(1 + 3 * 2) / 4, (10 + 3 * 20) / 4]
    (2 * total).backward()
    assert a.grad.tolist() == [2 * 1 / 4, 2 * 3 / 4]
    assert b.grad.tolist() == [1 / 4, 3 / 4]
    assert not means.requires_grad


def test_warm_up_rises_linearly_and_stays_at_one():
    weights = [Step(epoch, NoiseKey(0)).warmup(4) for epoch in (0, 1, 4, 9)]
    assert weights == [0, 0.25, 1, 1]
    assert Step(0, NoiseKey(0)).warmup(0) == 1


def test_evaluation_is_after_every_warm_up():
    assert Step.evaluation(0).warmup(10**6) == 1
