"""Recurrent layers equal torch's own on each sequence alone, whatever stands beside or behind it."""

import pytest
import torch

from cellwright.nn import recurrent
from cellwright.nn.recurrent import StackedRNN, at_last

CELLS = pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
LENGTHS = torch.tensor([3, 7, 1, 5, 7])


def made(cell, **options):
    torch.manual_seed(0)
    return StackedRNN(4, 8, 2, cell=cell, **options), torch.randn(5, 7, 4)


@CELLS
def test_each_further_layer_has_half_the_units(cell):
    layers = StackedRNN(4, 128, 3, cell=cell).layers
    assert [(layer.input_size, layer.hidden_size) for layer in layers] == [(4, 128), (128, 64), (64, 32)]


@CELLS
@pytest.mark.parametrize("at_once", [2, 128])
def test_the_outputs_are_those_of_each_sequence_alone(cell, at_once, monkeypatch):
    monkeypatch.setattr(recurrent, "AT_ONCE", at_once)
    stack, inputs = made(cell)
    outputs = stack(inputs, LENGTHS)
    for index, length in enumerate(LENGTHS):
        alone = inputs[index : index + 1, :length]
        for layer in stack.layers:
            alone = layer(alone)[0]
        torch.testing.assert_close(outputs[index, :length], alone[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(at_last(outputs, LENGTHS)[index], alone[0, -1], rtol=1e-5, atol=1e-6)


@CELLS
def test_padding_changes_nothing(cell):
    stack, inputs = made(cell)
    other = inputs.clone()
    for index, length in enumerate(LENGTHS):
        other[index, length:] = 1e6
    longer = torch.cat([other, torch.randn(5, 3, 4)], dim=1)
    first = at_last(stack(inputs, LENGTHS), LENGTHS)
    assert torch.equal(first, at_last(stack(other, LENGTHS), LENGTHS))
    assert torch.equal(first, at_last(stack(longer, LENGTHS), LENGTHS))


@CELLS
def test_the_gradient_is_that_of_each_sequence_alone(cell):
    stack, inputs = made(cell)
    at_last(stack(inputs, LENGTHS), LENGTHS).sum().backward()
    together = [parameter.grad.clone() for parameter in stack.parameters()]
    stack.zero_grad()
    for index, length in enumerate(LENGTHS):
        h = inputs[index : index + 1, :length]
        for layer in stack.layers:
            h = layer(h)[0]
        h[0, -1].sum().backward()
    for grad, parameter in zip(together, stack.parameters(), strict=True):
        torch.testing.assert_close(grad, parameter.grad, rtol=1e-4, atol=1e-5)


def test_no_sequences_give_no_outputs():
    stack, _ = made("gru")
    assert stack(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 4)


@CELLS
def test_dropout_follows_every_layer_in_training_only(cell):
    stack, inputs = made(cell, dropout=0.5)
    assert torch.equal(stack.eval()(inputs, LENGTHS), stack(inputs, LENGTHS))
    outputs = stack.train()(inputs, LENGTHS)
    within = torch.arange(7) < LENGTHS[:, None]
    # 23 steps of 4 units; a share of one half, within five standard errors
    assert abs((outputs[within] == 0).float().mean() - 0.5) < 5 * (0.25 / 92) ** 0.5
