"""Loss adds weighted terms; Step knows how far a warm-up has come."""

import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Loss, Step


def test_total_is_the_weighted_mean_of_the_weighted_terms():
    loss = Loss({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([10.0, 20.0])}, weights={"b": 0.5})
    assert loss.per_cell.tolist() == [6.0, 12.0]
    assert float(loss.total(torch.tensor([1.0, 3.0]))) == (6 + 3 * 12) / 4


def test_warm_up_rises_linearly_and_stays_at_one():
    weights = [Step(epoch, NoiseKey(0)).warmup(4) for epoch in (0, 1, 4, 9)]
    assert weights == [0, 0.25, 1, 1]
    assert Step(0, NoiseKey(0)).warmup(0) == 1


def test_evaluation_is_after_every_warm_up():
    assert Step.evaluation(0).warmup(10**6) == 1
