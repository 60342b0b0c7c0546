"""The library of a latent is the least-squares fit of its logarithm, within what training cells have."""

from dataclasses import replace

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.library_of_latent import LibraryOfLatent


def cells(n_batch=2):
    rng = np.random.default_rng(0)
    adata = AnnData(sparse.csr_matrix(rng.poisson(20, (300, 5)).astype(np.float32)))
    adata.obs["batch"] = rng.choice([f"b{i}" for i in range(n_batch)], 300)
    return open_data(adata, batch_key="batch")


def test_it_is_the_least_squares_fit_in_logarithms():
    source = cells()
    minibatch = next(in_order(source))
    latent = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    library = LibraryOfLatent(source.schema, 3)
    library.learn(
        [(latent[:100], minibatch.at(torch.arange(100))), (latent[100:], minibatch.at(torch.arange(100, 300)))]
    )
    columns = np.column_stack([latent, source.annotation.batch == 0, source.annotation.batch == 1])
    logarithm = np.log(minibatch.library.numpy()[:, 0])
    expected = columns @ np.linalg.lstsq(columns, logarithm, rcond=None)[0]
    np.testing.assert_allclose(library(latent, minibatch)[:, 0].log(), expected, atol=1e-4)


def test_a_latent_far_from_all_cells_has_no_library_beyond_theirs():
    source = cells(n_batch=1)
    minibatch = next(in_order(source))
    latent = minibatch.library.log()  # it says the library exactly
    library = LibraryOfLatent(source.schema, 1)
    library.learn([(latent, minibatch)])
    torch.testing.assert_close(library(latent, minibatch), minibatch.library, rtol=1e-3, atol=0)
    far = library(latent + 100, minibatch)
    torch.testing.assert_close(far, minibatch.library.max().expand_as(far))


def test_a_batch_that_is_not_known_is_between_those_that_are():
    source = cells()
    minibatch = next(in_order(source))
    library = LibraryOfLatent(source.schema, 1)
    library.learn([(minibatch.library.log() * 0, minibatch)])
    zero = torch.zeros(300, 1)
    first, second, unknown = (
        library(zero, replace(minibatch, batch=torch.full_like(minibatch.batch, code)))[0, 0].log()
        for code in (0, 1, -1)
    )
    torch.testing.assert_close(unknown, (first + second) / 2)


def test_a_batch_that_was_never_met_is_the_average_of_those_that_were():
    source = cells()
    minibatch = next(in_order(source))
    first = minibatch.at(torch.nonzero(minibatch.batch == 0).flatten())
    library = LibraryOfLatent(source.schema, 1)
    library.learn([(torch.zeros(len(first.rows), 1), first)])
    found = library(torch.zeros(300, 1), minibatch)
    torch.testing.assert_close(found, found[:1].expand_as(found))
