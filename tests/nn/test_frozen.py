"""A frozen part evaluates without gradients, and is afterwards as it was."""

import pytest
import torch
from torch import nn

from cellwright.nn.frozen import frozen


@pytest.fixture
def part():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()


def test_inside_it_evaluates_as_eval_does_and_changes_nothing(part):
    x = torch.randn(8, 3)
    before = {name: value.clone() for name, value in part.state_dict().items()}
    with frozen(part):
        inside = part(x)
    assert torch.equal(inside, part.eval()(x))
    assert all(torch.equal(value, before[name]) for name, value in part.state_dict().items())


def test_inside_nothing_is_differentiated(part):
    with frozen(part):
        assert not part(torch.randn(8, 3)).requires_grad
    assert part(torch.randn(8, 3)).requires_grad


def test_afterwards_every_module_has_the_mode_that_it_had(part):
    part[1].eval()
    with frozen(part):
        assert not any(module.training for module in part.modules())
    assert [module.training for module in part.modules()] == [True, True, False, True]


def test_an_error_inside_leaves_the_modes_as_they_were(part):
    with pytest.raises(ZeroDivisionError), frozen(part):
        raise ZeroDivisionError
    assert part.training
