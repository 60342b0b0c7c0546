"""Graph diffusion against its formula with dense matrices."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.spatial.distance import cdist

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.models.magic import STEPS
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells

N, K = 120, 9


@pytest.fixture(scope="module")
def source():
    return open_data(simulate(SimulateOptions(n_obs=N, n_vars=30, n_latent=3), seed=0).adata)


def fitted(source, **options):
    model = build("magic", source.schema, n_latent=4, n_neighbors=K, mean_share=0.0, **options)
    fit(model, source, split=random_split(N, validation=0), progress=False)
    return model


def imputed(model, source):
    return over_cells(lambda m: model.impute(m, torch.Generator()), source)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_expected_counts_are_shares_after_the_steps_of_the_chain(source, n_steps):
    model = fitted(source, n_steps=n_steps)
    counts = source.read("X", np.arange(N)).toarray().astype(float)
    latent = over_cells(model.references.components.encode, source)
    distance = cdist(latent, latent)
    order = np.argsort(distance, axis=1)[:, : K + 1]  # the cell itself first
    width = np.take_along_axis(distance, order[:, [K // 3]], axis=1)
    affinity = np.zeros((N, N))
    np.put_along_axis(affinity, order, np.exp(-((np.take_along_axis(distance, order, axis=1) / width) ** 2)), axis=1)
    first = affinity / affinity.sum(axis=1, keepdims=True)
    chain = affinity + affinity.T
    chain /= chain.sum(axis=1, keepdims=True)
    shares = counts / counts.sum(axis=1, keepdims=True)
    expected = first @ np.linalg.matrix_power(chain, n_steps - 1) @ shares * counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(imputed(model, source), expected, rtol=1e-3, atol=1e-3)


def test_the_number_of_steps_is_chosen_among_those_tried_and_totals_stay(source):
    model = fitted(source)
    assert int(model.n_steps) in STEPS
    counts = source.read("X", np.arange(N)).toarray()
    np.testing.assert_allclose(imputed(model, source).sum(axis=1), counts.sum(axis=1), rtol=1e-4)


def test_cells_that_are_all_alike_are_what_they_are():
    source = open_data(AnnData(np.tile(np.arange(1, 7, dtype=np.float32), (N, 1))))
    model = build("magic", source.schema, n_latent=2, n_steps=2, mean_share=0.0)
    fit(model, source, split=random_split(N, validation=0), progress=False)
    np.testing.assert_allclose(imputed(model, source), np.tile(np.arange(1, 7), (N, 1)), rtol=1e-4)
