"""Smoothing over places: a matrix power without a bandwidth, weights by hand with one, the same for cells anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.models.parts.place_smoother import PlaceSmoother, smoothing_matrix
from cellwright.models.parts.places import Placed, beside

WIDTH = 4


@pytest.fixture(scope="module")
def minibatch():
    """60 cells in two sections."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"section": ["a", "b"] * 30}, index=[f"c{i}" for i in range(60)])
    adata = AnnData(rng.normal(size=(60, WIDTH)).astype(np.float32), obs=obs, obsm={"spatial": rng.random((60, 2))})
    return next(in_order(open_data(adata, batch_key="section", coordinates_key="spatial")))


@pytest.fixture(scope="module")
def schema(minibatch):
    obs = pd.DataFrame({"section": ["a", "b"]}, index=["x", "y"])
    adata = AnnData(np.zeros((2, WIDTH), np.float32), obs=obs, obsm={"spatial": np.zeros((2, 2))})
    return open_data(adata, batch_key="section", coordinates_key="spatial").schema


def smoother_of(schema, minibatch, bandwidth=np.inf, n_times=3):
    smoother = PlaceSmoother(schema, WIDTH, n_neighbors=5, n_times=n_times)
    smoother.keep(Placed.of(minibatch.x.dense(), minibatch), bandwidth)
    return smoother


def test_without_a_bandwidth_it_is_a_power_of_the_mean_over_neighbours(schema, minibatch):
    values = minibatch.x.dense()
    cells = Placed.of(values, minibatch)
    weights = smoothing_matrix(beside(cells, cells, 5)[0]).toarray()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    expected = np.linalg.matrix_power(weights, 3) @ values.numpy()
    np.testing.assert_allclose(smoother_of(schema, minibatch).smooth(values, minibatch), expected, atol=1e-5)


def test_weights_of_a_bandwidth_by_hand(schema, minibatch):
    values, bandwidth = minibatch.x.dense(), 1.5
    cells = Placed.of(values, minibatch)
    index = beside(cells, cells, 5)[0].numpy()
    own, around = values.numpy()[7], values.numpy()[index[7]]
    weights = np.exp(-np.square(around - own).sum(axis=1) / (2 * bandwidth))
    expected = (own + weights @ around) / (1 + weights.sum())
    found = smoother_of(schema, minibatch, bandwidth, n_times=1).smooth(values, minibatch)[7]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("bandwidth", [np.inf, 1.5], ids=["plain", "attention"])
def test_a_training_cell_asked_again_is_what_was_kept(schema, minibatch, bandwidth):
    smoother = smoother_of(schema, minibatch, bandwidth)
    hops = smoother.hops(minibatch.x.dense(), minibatch)
    torch.testing.assert_close(hops, smoother.kept.hops)


def test_a_narrow_bandwidth_leaves_cells_as_they_are_and_a_wide_one_is_the_plain_mean(schema, minibatch):
    values = minibatch.x.dense()
    torch.testing.assert_close(smoother_of(schema, minibatch, 1e-3).smooth(values, minibatch), values)
    wide, plain = (smoother_of(schema, minibatch, b).smooth(values, minibatch) for b in (1e9, np.inf))
    torch.testing.assert_close(wide, plain)


def test_nothing_passes_a_boundary_that_the_values_show(schema, minibatch):
    """Left and right differ by ten, within each there is noise of one: noise goes, the step stays."""
    left = minibatch.coordinates[:, :1] < 0.5
    values = minibatch.x.dense() + 10.0 * left
    smoother = PlaceSmoother(schema, WIDTH, n_neighbors=5, n_times=5)
    smoother.keep(Placed.of(values, minibatch), 4.0)
    after = smoother.smooth(values, minibatch)
    step = after[left[:, 0]].mean() - after[~left[:, 0]].mean()
    assert abs(float(step) - 10) < 0.5
    assert after[left[:, 0]].std(dim=0).mean() < 0.7 * values[left[:, 0]].std(dim=0).mean()


def test_a_cell_far_from_the_tissue_is_refused(schema, minibatch):
    smoother = smoother_of(schema, minibatch)
    away = replace(minibatch, coordinates=minibatch.coordinates + 100)
    with pytest.raises(DataError, match="must lie within the tissue"):
        smoother.smooth(minibatch.x.dense(), away)
