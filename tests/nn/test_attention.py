"""Attention is the formula of the paper; padding and asking change nothing for others; order is not known."""

import pytest
import torch
from torch.nn import functional

from cellwright.errors import OptionError
from cellwright.nn.attention import AttentionBlock

WIDTH, N_HEADS = 8, 2


@pytest.fixture
def block():
    torch.manual_seed(0)
    return AttentionBlock(WIDTH, N_HEADS, activation="gelu", dropout=0.3).eval()


def elements(n, seed=0):
    return torch.randn(3, n, WIDTH, generator=torch.Generator().manual_seed(seed))


def everywhere(h):
    return torch.ones(h.shape[:2], dtype=torch.bool)


def test_it_is_softmax_attention_and_a_multilayer_perceptron_with_normalisation_before_each(block):
    asking, read = elements(4), elements(5, seed=1)
    there = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 1, 0]], dtype=torch.bool)
    q = block.query(functional.layer_norm(asking, [WIDTH]))
    k, v = block.key_value(functional.layer_norm(read, [WIDTH])).split(WIDTH, dim=2)
    heard = []
    for head in range(N_HEADS):
        at = slice(head * WIDTH // N_HEADS, (head + 1) * WIDTH // N_HEADS)
        score = q[..., at] @ k[..., at].transpose(1, 2) / (WIDTH / N_HEADS) ** 0.5
        weight = score.masked_fill(~there[:, None], -torch.inf).softmax(dim=2)
        heard.append(weight @ v[..., at])
    h = asking + block.out(torch.cat(heard, dim=2))
    expected = h + block.mlp(functional.layer_norm(h, [WIDTH]))
    torch.testing.assert_close(block(asking, read, there), expected)


def test_padding_changes_nothing(block):
    asking, read = elements(4), elements(5, seed=1)
    there = everywhere(read)
    padded = torch.cat([read, 100 * elements(3, seed=2)], dim=1)
    with_padding = block(asking, padded, torch.cat([there, ~there[:, :3]], dim=1))
    torch.testing.assert_close(with_padding, block(asking, read, there))


def test_an_element_that_only_asks_changes_no_other(block):
    asking, read = elements(4), elements(5, seed=1)
    alone = block(asking[:, :2], read, everywhere(read))
    torch.testing.assert_close(block(asking, read, everywhere(read))[:, :2], alone)


def test_the_order_of_what_is_read_is_not_known(block):
    h, order = elements(6), torch.tensor([3, 1, 5, 0, 4, 2])
    shuffled = block(h[:, order], h[:, order], everywhere(h))
    torch.testing.assert_close(shuffled, block(h, h, everywhere(h))[:, order])


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(OptionError, match="multiple of n_heads; they are 8 and 3"):
        AttentionBlock(8, 3, activation="relu", dropout=0.0)
