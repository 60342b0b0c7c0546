"""BRAS without pairs equals BRAS over all pairs; batches that mix in pairs do not pass for mixed."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from cellwright.metrics.batch_asw import batch_asw
from cellwright.metrics.bras import bras, bras_by_label


def over_pairs(latent: np.ndarray, batches: np.ndarray) -> float:
    distances, own = pairwise_distances(latent, metric="cosine"), batches[:, None] == batches
    within = (distances * own).sum(axis=1) / (own.sum(axis=1) - 1)
    between = (distances * ~own).sum(axis=1) / (~own).sum(axis=1)
    return float(np.mean(1 - np.abs(between - within) / np.maximum(between, within)))


def test_equals_the_mean_over_all_pairs_label_by_label():
    rng = np.random.default_rng(0)
    labels, batches = np.repeat(["T", "B"], [60, 40]), rng.integers(0, 3, 100)
    latent = rng.normal(size=(100, 4)) + 0.5 * batches[:, None]
    latent[3] = 0  # a cell without a direction
    expected = {label: over_pairs(latent[labels == label], batches[labels == label]) for label in ("T", "B")}
    assert bras_by_label(labels, latent, batches) == pytest.approx(expected, abs=1e-9)
    assert bras(latent, labels, batches) == pytest.approx(np.mean(list(expected.values())), abs=1e-9)


def test_batches_that_mix_in_pairs_look_mixed_to_the_nearest_batch_only():
    """Four batches, two and two in the same places: the case against the nearest batch [Rautenstrauch25].

    Of fifty cells and their twins, b = 49 / 50 a, for a twin is at no distance; so 1 - |s| is .98, nearly mixed.
    """
    here, there = np.random.default_rng(0).normal(size=(2, 50, 2)) + np.array([[[20.0, 0.0]], [[0.0, 20.0]]])
    latent, batches = np.concatenate([here, here, there, there]), np.repeat([0, 1, 2, 3], 50)
    assert batch_asw(latent, np.full(200, "T"), batches) == pytest.approx(0.98, abs=1e-6)
    assert bras(latent, np.full(200, "T"), batches) < 0.1


def test_directions_that_coincide_are_mixed():
    latent = np.outer(np.arange(1, 11), [0.3, 0.7])
    assert bras(latent, np.full(10, "T"), np.arange(10) % 2) == 1
