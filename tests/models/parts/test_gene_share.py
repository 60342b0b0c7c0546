"""Gene share: mixed into means, and all there is where there are none."""

import numpy as np
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.models.parts.gene_share import GeneShare


def genes():
    source = open_data(AnnData(np.array([[6.0, 2.0], [9.5, 1.5], [0.0, 1.0]], np.float32)))
    genes = GeneShare(source.schema)
    genes.learn(source, np.array([0, 1]))
    return genes


def test_shares_are_those_of_the_molecules_of_the_rows_and_half_a_molecule_of_each():
    np.testing.assert_allclose(genes().share.numpy(), np.array([16, 4]) / 20, rtol=1e-6)


def test_a_part_of_the_means_is_replaced_and_a_row_without_means_is_the_share():
    found = genes().mixed_into(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), 0.1)
    np.testing.assert_allclose(found.numpy(), [[0.9 * 0.25 + 0.1 * 0.8, 0.9 * 0.75 + 0.1 * 0.2], [0.8, 0.2]], rtol=1e-6)
