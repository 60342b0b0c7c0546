"""The spatial graph autoencoder: its loss is what the formulas say, its latent is in the metric of its decoder."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.models import build
from cellwright.models.parts.measurement_noise import measurement_noise


@pytest.fixture(scope="module")
def adata():
    cells = simulate(SimulateOptions(n_obs=160, n_vars=40, n_batch=2), seed=0).adata
    cells.obsm["spatial"] = np.random.default_rng(0).random((160, 2))
    return cells


@pytest.fixture(scope="module")
def data(adata):
    return open_data(adata, batch_key="batch", coordinates_key="spatial")


@pytest.fixture(scope="module")
def minibatch(data):
    return next(in_order(data, np.arange(32)))


def prepared(data, rows=None, **options):
    torch.manual_seed(0)
    model = build("spatial_gae", data.schema, **{"n_latent": 3, "n_components": 6, "n_hidden": 16, **options})
    model.prepare(0, data, np.arange(data.n_obs) if rows is None else rows, np.random.default_rng(0))
    return model.eval()


def test_distances_of_the_latent_are_those_of_what_is_decoded(data, minibatch):
    model = prepared(data)
    with torch.no_grad():
        latent = model.encode(minibatch)
        decoded = model.decoder(model.encoder(model._hops(minibatch)[:, -2])) * model.size
    torch.testing.assert_close(torch.cdist(latent, latent), torch.cdist(decoded, decoded), rtol=1e-3, atol=1e-3)


def test_the_loss_by_hand(data, minibatch):
    model = prepared(data, contrast_weight=0.7)
    with torch.no_grad():
        loss = model.places(minibatch, Step(0, NoiseKey(0)))
        hops = model.smoother.hops(model.pca.encode(minibatch), minibatch) / model.size
        z, around = model.encoder(hops[:, 6]), torch.sigmoid(model.encoder(hops[:, 7]))
        error = (model.decoder(z) - hops[:, 5]).square().mean(dim=1)
        score = model.discriminator(z, around)[:, 0]
    torch.testing.assert_close(loss.terms["reconstruction"], error)
    # the place itself is told together, the shuffled one apart
    at_least = torch.log1p(torch.exp(-score))
    assert (loss.terms["contrast"] >= at_least - 1e-6).all()
    torch.testing.assert_close(loss.per_cell, error + 0.7 * loss.terms["contrast"])


def test_without_contrast_there_is_no_such_term(data, minibatch):
    loss = prepared(data, contrast_weight=0).places(minibatch, Step(0, NoiseKey(0)))
    assert set(loss.terms) == {"reconstruction"}


def test_attention_is_as_wide_as_the_noise_of_the_counts(data):
    model = prepared(data, bandwidth=3.0)
    noise = measurement_noise(data, np.arange(160), model._components, np.random.default_rng(0))
    assert float(model.smoother.bandwidth) == pytest.approx(3 * noise, rel=0.1)  # other halves were drawn


def test_a_decoded_component_has_mean_square_one(data):
    model = prepared(data)
    kept = model.smoother.kept.hops[:, model.options.n_hops] / model.size
    assert float(kept.square().mean()) == pytest.approx(1, rel=1e-4)


def test_a_shuffled_place_is_a_mean_of_cells_at_random(data, minibatch):
    model = prepared(data, n_neighbors=9)
    kept = model.smoother.kept.hops[:, model.options.n_hops] / model.size
    drawn = torch.cat([model._shuffled(minibatch, Step(0, NoiseKey(seed))) for seed in range(60)])
    torch.testing.assert_close(drawn.mean(dim=0), kept.mean(dim=0), atol=0.06, rtol=0)
    torch.testing.assert_close(drawn.var(dim=0) * 10, kept.var(dim=0), rtol=0.2, atol=0)


def test_new_cells_of_a_known_section_are_encoded_and_those_of_another_refused(adata, data):
    model = prepared(data, rows=np.arange(20, 160))
    with torch.no_grad():
        assert torch.isfinite(model.encode(next(in_order(data, np.arange(20))))).all()
    other = adata[:5].copy()
    other.obs["batch"] = "elsewhere"
    new = open_data(other, schema=data.schema)
    with pytest.raises(DataError, match="5 cells must lie in a section that was trained on"):
        model.encode(next(in_order(new)))


def test_cells_at_one_place_and_a_section_of_one_cell_are_encoded(adata):
    cells = adata.copy()
    cells.obsm["spatial"][:50] = 0.5
    cells.obs["batch"] = pd.Categorical(["alone", *["others"] * 159])
    data = open_data(cells, batch_key="batch", coordinates_key="spatial")
    with torch.no_grad():
        assert torch.isfinite(prepared(data).encode(next(in_order(data)))).all()


def test_without_coordinates_it_is_refused_in_a_sentence(adata):
    with pytest.raises(DataError, match=r"must have the places of cells.*coordinates_key"):
        build("spatial_gae", open_data(adata).schema)


def test_fewer_training_cells_than_components_are_refused(data):
    with pytest.raises(DataError, match="must have more training cells"):
        prepared(data, rows=np.arange(6))


@pytest.mark.parametrize(("depth", "low", "high"), [(20, 0.0, 0.5), (2000, 0.95, 1.0)], ids=["few", "many"])
def test_neighbours_that_differ_by_more_than_their_noise_stay_apart(depth, low, high):
    """Two kinds of cells in turn along a line: with few counts they run together, with many each stays as it is."""
    kinds = np.arange(120) % 2
    rates = np.random.default_rng(0).gamma(1, 1, (2, 30))[kinds]
    counts = np.random.default_rng(1).poisson(depth * rates / rates.sum(axis=1, keepdims=True))
    cells = AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    cells.obsm["spatial"] = np.stack([np.arange(120.0), np.zeros(120)], axis=1)
    kept = prepared(open_data(cells, coordinates_key="spatial"), scale=False).smoother.kept.hops
    apart = (kept[1::2].mean(dim=0) - kept[::2].mean(dim=0)).norm(dim=1)
    assert low <= float(apart[5] / apart[0]) <= high
