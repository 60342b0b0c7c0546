"""Gene mean: the library times the share of every gene among all molecules of the training cells."""

import numpy as np
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.train.fit import fit


def test_expected_counts_are_shares_of_the_training_molecules():
    counts = np.random.default_rng(0).poisson(2, (40, 6)).astype(np.float32) + 1
    source, split = open_data(AnnData(counts)), random_split(40, validation=0, test=0.25, seed=0)
    model = build("gene_mean", source.schema)
    fit(model, source, split=split, progress=False)
    minibatch = next(iter(in_order(source)))
    total = counts[split.train].sum(axis=0) + 0.5
    np.testing.assert_allclose(
        model.impute(minibatch, torch.Generator()).numpy(),
        counts.sum(axis=1, keepdims=True) * total / total.sum(),
        rtol=1e-5,
    )
