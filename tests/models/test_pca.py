"""PCA equals scikit-learn's, exactly and by subspace iteration, in memory and from disk."""

import numpy as np
import pytest
import scanpy as sc
import torch
from anndata import AnnData
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA as SklearnPCA

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import Split, random_split
from cellwright.errors import DataError
from cellwright.models import pca as module
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=300, n_vars=50, n_latent=4), seed=0).adata


def fitted(data, split=None, **options):
    model = PCA(data.schema, PCAOptions(n_latent=4, **options))
    fit(model, data, split=split or random_split(data.n_obs, validation=0, seed=0), progress=False)
    return model, reduce(model, data).obsm["X_pca_unscaled" if options.get("scale") is False else "X_pca"]


def same_up_to_sign(a, b, tolerance):
    signs = np.sign((a * b).sum(axis=0))
    np.testing.assert_allclose(a, b * signs, atol=tolerance * np.abs(b).max())


def log_normalised(adata):
    copy = adata.copy()
    sc.pp.normalize_total(copy, target_sum=1e4)
    sc.pp.log1p(copy)
    return copy.X.toarray()


def test_without_scaling_it_is_pca_of_scanpys_log_normalised_values(cells):
    _, latent = fitted(open_data(cells), scale=False)
    same_up_to_sign(latent, SklearnPCA(4).fit_transform(log_normalised(cells)), 1e-4)


def test_with_scaling_and_cutting_it_is_pca_of_scaled_values(cells):
    _, latent = fitted(open_data(cells), max_value=2.0)
    values = log_normalised(cells)
    standard = np.clip((values - values.mean(axis=0)) / values.std(axis=0), -2, 2)
    same_up_to_sign(latent, SklearnPCA(4).fit_transform(standard), 1e-4)


def test_the_largest_loading_of_each_component_is_positive(cells):
    model, _ = fitted(open_data(cells))
    components = model.components.numpy()
    assert (components[np.abs(components).argmax(axis=0), np.arange(4)] > 0).all()


def test_subspace_iteration_finds_the_same_components(cells, monkeypatch):
    exact, _ = fitted(open_data(cells))
    monkeypatch.setattr(module, "EXACT_N_VARS", 10)
    iterated, _ = fitted(open_data(cells))
    angles = subspace_angles(exact.components.numpy(), iterated.components.numpy())
    assert np.degrees(angles.max()) < 0.5


def test_disk_gives_what_memory_gives(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    here, there = fitted(open_data(cells))[1], fitted(open_data(tmp_path / "cells.h5ad", in_memory=False))[1]
    assert np.array_equal(here, there)


def test_centre_and_spread_come_from_training_cells_only(cells):
    rows = np.arange(cells.n_obs)
    split = Split(rows[:200], rows[200:250], rows[250:])
    model, _ = fitted(open_data(cells), split)
    np.testing.assert_allclose(model.centre.numpy(), log_normalised(cells)[:200].mean(axis=0), rtol=1e-4, atol=1e-5)


def test_log_prob_is_that_of_probabilistic_pca(cells):
    data = open_data(cells)
    model, _ = fitted(data, scale=False)
    minibatch = next(iter(in_order(data)))
    values = log_normalised(cells)
    reference = SklearnPCA(4).fit(values)
    error = values - reference.inverse_transform(reference.transform(values))
    # scikit-learn divides by n - 1, maximum likelihood by n
    variance = reference.noise_variance_ * 299 / 300
    expected = -0.5 * ((error**2).sum(axis=1) / variance + 50 * np.log(2 * np.pi * variance))
    found = model.log_prob(model.encode(minibatch), minibatch).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_there_are_at_most_as_many_components_as_features_and_these_lose_nothing(cells):
    data = open_data(cells[:, :10].copy())
    model = PCA(data.schema, PCAOptions(n_latent=30, scale=False))
    fit(model, data, progress=False)
    minibatch = next(iter(in_order(data)))
    latent = model.encode(minibatch)
    assert latent.shape == (300, 10)
    torch.testing.assert_close(model.decode(latent, minibatch), minibatch.x.dense(), rtol=1e-3, atol=1e-2)


def test_more_components_than_cells_are_refused(cells):
    few = open_data(cells[:10])
    with pytest.raises(DataError, match=r"must have more training cells than that; it has 10.*smaller n_latent"):
        fit(PCA(few.schema, PCAOptions(n_latent=20)), few, split=random_split(10, validation=0), progress=False)


def test_a_constant_feature_stays_at_zero():
    values = np.random.default_rng(0).poisson(3, (60, 8)).astype(np.float32) + 1
    values[:, 3] = 0
    model, latent = fitted(open_data(AnnData(values)))
    assert np.isfinite(latent).all()
    assert np.abs(model.components.numpy()[3]).max() < 1e-6


def test_fitting_again_gives_the_same(cells):
    data = open_data(cells)
    model, first = fitted(data)
    fit(model, data, split=random_split(data.n_obs, validation=0, seed=0), progress=False)
    np.testing.assert_allclose(reduce(model, data).obsm["X_pca"], first, atol=1e-5)


@pytest.fixture(scope="module")
def batches():
    adata = simulate(SimulateOptions(n_obs=200, n_vars=30, n_latent=3, n_batch=3), seed=0).adata
    return adata, open_data(adata, batch_key="batch")


def test_centred_by_batch_it_is_that_of_the_centred_values(batches):
    adata, data = batches
    model = PCA(data.schema, PCAOptions(n_latent=4, scale=False, centre="batch"))
    fit(model, data, split=random_split(200, validation=0, seed=0), progress=False)
    values, batch = np.array(log_normalised(adata)), adata.obs["batch"].to_numpy()
    for name in np.unique(batch):
        values[batch == name] -= values[batch == name].mean(axis=0)
    latent = model.encode(next(iter(in_order(data, np.arange(200), 200)))).numpy()
    same_up_to_sign(SklearnPCA(4).fit_transform(values), latent, 1e-3)
    means = [latent[batch == name].mean(axis=0) for name in np.unique(batch)]
    np.testing.assert_allclose(means, 0, atol=1e-4)


def test_centred_by_batch_an_unknown_batch_has_the_mean_of_the_batches_means_taken_off(batches):
    adata, data = batches
    model = PCA(data.schema, PCAOptions(n_latent=4, centre="batch"))
    fit(model, data, split=random_split(200, validation=0, seed=0), progress=False)
    np.testing.assert_allclose(model.batch_offset[-1], model.batch_offset[:-1].mean(dim=0), atol=1e-5)
    unknown = adata.copy()
    unknown.obs["batch"] = "another"
    known, moved = (reduce(model, cells).obsm["X_pca_centred"] for cells in (data, unknown))
    codes = data.annotation.batch
    shift = (model.batch_offset[codes] - model.batch_offset[-1]) @ model.components
    np.testing.assert_allclose(moved - known, shift, atol=1e-3)


def test_centred_by_batch_the_batch_comes_back_when_it_is_decoded(batches):
    adata, data = batches
    model = PCA(data.schema, PCAOptions(n_latent=30, scale=False, centre="batch"))
    fit(model, data, split=random_split(200, validation=0, seed=0), progress=False)
    minibatch = next(iter(in_order(data, np.arange(200))))
    decoded = model.decode(model.encode(minibatch), minibatch)
    np.testing.assert_allclose(decoded, adata.X.toarray(), atol=0.05)
