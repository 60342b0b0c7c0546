"""Neighbourhood: sums over more and more neighbours, in one look."""

import numpy as np
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.neighbourhood import Neighbourhood


def test_sums_over_several_numbers_of_neighbours_are_those_over_each_alone():
    counts = np.random.default_rng(0).poisson(3, (50, 8)).astype(np.float32) + 1
    source = open_data(AnnData(counts))
    near = Neighbourhood(source.schema, n_latent=3, at_most=100, mean_share=0.0)
    near.learn(source, np.arange(50), np.random.default_rng(0))
    (minibatch,) = in_order(source, None, 50)
    index, _ = near.references.neighbours(minibatch, 9)
    for number, total in zip((1, 4, 9), near.sums(minibatch, (1, 4, 9)), strict=True):
        np.testing.assert_allclose(total.numpy(), counts[index[:, :number].numpy()].sum(axis=1), rtol=1e-5)
    expected = near.expected(total, minibatch.library)
    torch.testing.assert_close(expected.sum(dim=1), minibatch.library[:, 0])
