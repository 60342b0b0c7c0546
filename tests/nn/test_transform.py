"""Transforms equal scanpy's, and are undone."""

import numpy as np
import pytest
import scanpy as sc
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.minibatch import SparseRows
from cellwright.nn import transform as transforms

COUNTS = np.random.default_rng(0).poisson(1.0, (20, 12)).astype(np.float32)
ROWS = SparseRows.of(sparse.csr_matrix(COUNTS))


def test_log_normalise_equals_scanpy():
    adata = AnnData(sparse.csr_matrix(COUNTS))
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    np.testing.assert_allclose(transforms.apply("log_normalise", ROWS).dense(), adata.X.toarray(), rtol=1e-5)


@pytest.mark.parametrize("transform", ["log1p", "log_normalise", "none"])
def test_invert_undoes_apply(transform):
    values = transforms.apply(transform, ROWS).dense()
    back = transforms.invert(transform, values, torch.from_numpy(COUNTS.sum(axis=1, keepdims=True)))
    torch.testing.assert_close(back, torch.from_numpy(COUNTS), rtol=1e-4, atol=1e-4)


def test_a_cell_without_counts_stays_at_zero():
    empty = SparseRows.of(sparse.csr_matrix(np.zeros((1, 4), dtype=np.float32)))
    assert torch.equal(transforms.apply("log_normalise", empty).dense(), torch.zeros(1, 4))
