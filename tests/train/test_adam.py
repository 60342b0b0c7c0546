"""Adam is torch's AdamW, with gradients limited as torch's own clipping limits them."""

import pytest
import torch

from cellwright.core.objective import AdamOptions
from cellwright.train.adam import Adam

SHAPES = [(200, 130), (130,), (7, 3), ()]


def _gradients(step):
    generator = torch.Generator().manual_seed(step)
    # norms from far below the limit to far above it
    return [torch.randn(shape, generator=generator) * 4.0 ** (step - 4) for shape in SHAPES]


@pytest.mark.parametrize("max_norm", [None, 10.0], ids=["no limit", "limit 10"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1], ids="decay {}".format)
def test_steps_equal_those_of_torch(max_norm, weight_decay):
    torch.manual_seed(0)
    ours = [torch.randn(shape).requires_grad_() for shape in SHAPES]
    theirs = [parameter.detach().clone().requires_grad_() for parameter in ours]
    adam = Adam(ours, AdamOptions(learning_rate=0.01, weight_decay=weight_decay))
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=weight_decay, foreach=False)
    for step in range(8):
        for mine, other, gradient in zip(ours, theirs, _gradients(step), strict=True):
            mine.grad, other.grad = gradient.clone(), gradient.clone()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(theirs, max_norm)
        adam.step(max_norm)
        reference.step()
    # a step is about the learning rate; eight of them, each in float32
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=8 * 0.01 * 1e-5)


def test_a_parameter_without_gradient_stays_and_keeps_its_count_of_steps():
    with_gradient, without = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    adam = Adam([with_gradient, without], AdamOptions())
    with_gradient.grad = torch.ones(3)
    adam.step(1.0)
    assert torch.equal(without, torch.ones(3))
    assert [float(step) for step in adam.steps] == [1, 0]
    adam.zero_grad()
    assert with_gradient.grad is None


def test_it_goes_on_from_its_state_as_if_it_had_never_stopped():
    def after(*numbers, state=None, start=None):
        parameters = [
            (torch.ones(shape) if start is None else start[i]).clone().requires_grad_()
            for i, shape in enumerate(SHAPES)
        ]
        adam = Adam(parameters, AdamOptions())
        if state:
            adam.load_state(state)
        for number in numbers:
            for parameter, gradient in zip(parameters, _gradients(number), strict=True):
                parameter.grad = gradient
            adam.step(10.0)
        return adam

    half, whole = after(1, 2), after(1, 2, 3, 4)
    rest = after(3, 4, state=half.state(), start=[p.detach() for p in half.parameters])
    for one, other in zip(whole.parameters, rest.parameters, strict=True):
        assert torch.equal(one, other)


def test_without_any_gradient_nothing_moves():
    parameter = torch.ones(3, requires_grad=True)
    Adam([parameter], AdamOptions()).step(1.0)
    assert torch.equal(parameter, torch.ones(3))
