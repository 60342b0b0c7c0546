"""The oracle is float64 with log(1 + e^a) by NumPy; logits of any size lose no digits."""

import numpy as np
import torch
from scipy import sparse, special

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods import Bernoulli

TOLERANCE = 1e-5  # that of the plain path in float32
LOGITS = np.concatenate([-np.geomspace(1e4, 1e-8, 200), [0], np.geomspace(1e-8, 1e4, 200)]).astype(np.float32)


def test_value_and_gradient_are_exact_for_logits_of_any_size(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")
    for x in (0.0, 1.0):
        head = Bernoulli().head(len(LOGITS), 1)  # a cell for each logit
        with torch.no_grad():
            head.logits.weight.copy_(torch.from_numpy(LOGITS[None]))
            head.logits.bias.zero_()
        rows = SparseRows.of(sparse.csr_matrix(np.full((len(LOGITS), 1), x)))
        log_prob = head.log_prob(torch.eye(len(LOGITS)), rows, torch.ones(len(LOGITS), 1))
        log_prob.sum().backward()
        logits = LOGITS.astype(np.float64)
        expected = -np.logaddexp(0, -logits if x else logits)
        # the least that the exponential of the kernel gives is near e^-87
        error = np.abs(log_prob.detach().double().numpy() - expected)
        assert (error <= TOLERANCE * np.abs(expected) + np.exp(-86)).all()
        error = np.abs(head.logits.weight.grad[0].double().numpy() - (x - special.expit(logits)))
        assert error.max() < TOLERANCE
