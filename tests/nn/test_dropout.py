"""Dropout sets a share to zero, keeps the mean, follows torch's seed, and does nothing in evaluation."""

import numpy as np
import pytest
import torch

from cellwright.nn.dropout import Dropout

N = 200_000


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_share_is_zero_and_the_rest_is_scaled_so_that_the_mean_stays(monkeypatch, kernels, rate):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", kernels)
    torch.manual_seed(0)
    h = torch.ones(N // 100, 100, requires_grad=True)
    out = Dropout(rate)(h)
    kept = out != 0
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - rate)))
    # five standard errors of a share
    assert abs(float(kept.float().mean()) - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / N)
    out.sum().backward()
    torch.testing.assert_close(h.grad, out.detach())


def test_neighbours_and_repeated_calls_are_unrelated():
    torch.manual_seed(0)
    dropout = Dropout(0.5)
    first, second = (dropout(torch.ones(N)) - 1 for _ in range(2))
    for a, b in ((first, second), (first[1:], first[:-1]), (first[64:], first[:-64])):
        assert abs(float((a * b).mean())) < 5 / np.sqrt(N)


def test_it_follows_the_seed_of_torch():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(Dropout(0.3)(torch.ones(1000)))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_evaluation_and_a_rate_of_zero_leave_everything_alone():
    h = torch.randn(5, 4)
    assert Dropout(0.5).eval()(h) is h
    assert Dropout(0.0)(h) is h
