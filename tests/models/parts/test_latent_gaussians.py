"""The Gaussian of a kind has the moments of its aggregate posterior, drawn towards the pooled covariance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.losses.gaussian_latent import LEAST_VARIANCE, GaussianLatent
from cellwright.models.parts.latent_gaussians import LatentGaussians

N, D = 3000, 2
VARIANCE = 0.3


@pytest.fixture(scope="module")
def planted():
    """A wide label, one of another shape, and one of a single cell; a condition that moves all of them."""
    rng = np.random.default_rng(0)
    label = np.r_[0, np.arange(N - 1) % 2 + 1]
    dose = np.arange(N) // 2 % 2
    shapes = np.array([[[1.0, 0], [0, 1]], [[2.0, 0], [1.0, 0.5]], [[0.5, 0.0], [0.0, 0.5]]])
    means = np.array([[10.0, 10], [0, 0], [4, -4]])[label] + dose[:, None] * [0.0, 8.0]
    latent = means + (shapes[label] @ rng.normal(size=(N, D, 1)))[:, :, 0]
    obs = {"label": np.array(["lone", "a", "b"])[label], "dose": dose.astype(str)}
    keys = {"label_key": "label", "condition_key": "dose"}
    return open_data(AnnData(np.ones((N, 2), np.float32), obs=obs), **keys), latent


def posterior_of(latent):
    def posterior(cells):
        mean = torch.from_numpy(latent[cells.rows]).float()
        return GaussianLatent(torch.cat([mean, torch.full_like(mean, VARIANCE - LEAST_VARIANCE).log()], dim=1))

    return posterior


@pytest.fixture(scope="module")
def gaussians(planted):
    source, latent = planted
    learnt = LatentGaussians(source.schema, D)
    learnt.learn(posterior_of(latent), source, np.arange(N))
    return learnt


def drawn(gaussians, source, label, condition, n=20_000):
    cells = next(iter(in_order(source, np.zeros(n, dtype=np.int64), n)))
    codes = {"label": torch.full((n,), label), "condition": torch.full((n,), condition)}
    return gaussians.sample(replace(cells, **codes), torch.Generator().manual_seed(0)).double().numpy()


def moments_of(latent, fits):
    return latent[fits].mean(axis=0), np.cov(latent[fits].T) + VARIANCE * np.eye(D)


@pytest.mark.parametrize(("name", "dose"), [("a", "0"), ("a", "1"), ("b", "1"), ("a", None), (None, "0"), (None, None)])
def test_drawn_latents_have_the_moments_of_the_kind(planted, gaussians, name, dose):
    source, latent = planted
    obs, schema = source.annotation.obs, source.schema
    fits = np.ones(N, dtype=bool) if name is None else (obs["label"] == name).to_numpy()
    fits &= True if dose is None else (obs["dose"] == dose).to_numpy()
    label = -1 if name is None else schema.label.values.index(name)
    condition = -1 if dose is None else schema.condition.values.index(dose)
    z = drawn(gaussians, source, label, condition)
    mean, covariance = moments_of(latent, fits)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(np.cov(z.T), covariance, rtol=0.05, atol=0.05)


def test_a_kind_of_one_cell_has_the_pooled_covariance_around_it(planted, gaussians):
    source, latent = planted
    z = drawn(gaussians, source, source.schema.label.values.index("lone"), 0)
    np.testing.assert_allclose(z.mean(axis=0), latent[0], atol=0.05)
    obs = source.annotation.obs
    kinds = [((obs["label"] == a) & (obs["dose"] == b)).to_numpy() for a in "ab" for b in "01"]
    pooled = sum(fits.sum() * moments_of(latent, fits)[1] for fits in kinds) / N
    # its own posterior stands beside n_latent cells of the pooled one
    np.testing.assert_allclose(np.cov(z.T), pooled + VARIANCE * np.eye(D) / D, rtol=0.05, atol=0.05)


def test_the_covariance_of_few_cells_lies_between_theirs_and_the_pooled_one(planted):
    source, latent = planted
    a = np.flatnonzero(source.annotation.obs["label"] == "a")
    b = np.flatnonzero(source.annotation.obs["label"] == "b")[:3]
    few = LatentGaussians(source.schema, D)
    few.learn(posterior_of(latent), source, np.sort(np.r_[a, b]))
    spread = [
        np.trace(np.cov(drawn(few, source, source.schema.label.values.index(name), -1).T) * [[1, 0], [0, 0]])
        for name in "ab"
    ]
    assert moments_of(latent, b)[1][0, 0] < spread[1] < spread[0]


def test_loaded_gaussians_draw_as_the_saved_ones(planted, gaussians):
    source, _ = planted
    loaded = LatentGaussians(source.schema, D)
    loaded.load_state_dict(gaussians.state_dict())
    np.testing.assert_array_equal(drawn(loaded, source, 1, 0, 10), drawn(gaussians, source, 1, 0, 10))
