import mpmath
import numpy as np
import pytest
import torch

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.bernoulli import bernoulli_log_prob

LOGITS = [-100.0, -20.0, -1e-3, 0.0, 0.7, 20.0, 100.0]


def exact(x, logits):
    with mpmath.workdps(80):
        return float(x * mpmath.mpf(logits) - mpmath.log1p(mpmath.exp(logits)))


@pytest.mark.parametrize("x", [0, 1])
def test_log_prob_keeps_its_relative_precision_for_extreme_logits(x):
    logits = torch.tensor(LOGITS)[:, None]
    got = bernoulli_log_prob(SparseRows.of(np.full((len(LOGITS), 1), float(x))), logits)
    np.testing.assert_allclose(got, [exact(x, value) for value in logits[:, 0].tolist()], rtol=1e-5, atol=1e-40)


def test_the_gradient_is_x_minus_p():
    logits = torch.tensor([LOGITS, LOGITS], requires_grad=True)
    x = np.repeat([[0.0], [1.0]], len(LOGITS), axis=1)
    bernoulli_log_prob(SparseRows.of(x), logits).sum().backward()
    expected = torch.from_numpy(x) - torch.sigmoid(logits.detach().double())
    torch.testing.assert_close(logits.grad.double(), expected, rtol=1e-6, atol=1e-7)
