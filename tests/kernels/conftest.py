"""Means of any size through a head: its logits are the logarithms of means, its library is their sum."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import logsumexp

from cellwright.core.minibatch import SparseRows


class Cells(NamedTuple):
    head: torch.nn.Module
    h: torch.Tensor
    x: SparseRows
    library: torch.Tensor
    log_mean: np.ndarray  # (n_obs, n_vars), of the float32 numbers that the head got, in float64

    def log_prob(self):
        return self.head.log_prob(self.h, self.x, self.library)


@pytest.fixture
def cells_of(monkeypatch):
    """(options, counts (n_obs, n_vars), means (n_obs, n_vars)) -> Cells, to be evaluated by the kernels."""
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")

    def build(options, counts, means):
        n_obs, n_vars = means.shape
        head = options.head(n_obs, n_vars)
        with torch.no_grad():  # h picks the cell's own column of the weight, which no product rounds
            head.share.weight.copy_(torch.from_numpy(np.log(means).T))
            head.share.bias.zero_()
        library = torch.from_numpy(means.sum(axis=1, keepdims=True)).float()
        logits = head.share.weight.detach().double().numpy().T
        log_mean = np.log(library.double().numpy()) + logits - logsumexp(logits, axis=1, keepdims=True)
        rows = SparseRows.of(sparse.csr_matrix(counts))
        return Cells(head, torch.eye(n_obs), rows, library, log_mean)

    return build
