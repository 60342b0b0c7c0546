"""As measured: what comes out is what went in."""

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build


def test_every_value_is_given_back():
    counts = np.random.default_rng(0).poisson(1, (12, 5)).astype(np.float32)
    source = open_data(AnnData(sparse.csr_matrix(counts)))
    minibatch = next(iter(in_order(source)))
    assert np.array_equal(build("as_measured", source.schema).impute(minibatch, torch.Generator()).numpy(), counts)
