"""Silhouettes of batches within labels equal scikit-learn's; what cannot be scored is not scored as mixed."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from cellwright.errors import DataError
from cellwright.metrics.batch_asw import batch_asw, batch_asw_by_label


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    labels, batches = np.repeat(["T", "B"], [60, 40]), rng.integers(0, 3, 100)
    return rng.normal(size=(100, 4)) + 0.5 * batches[:, None], labels, batches


def test_equals_scikit_learns_widths_label_by_label(cells):
    latent, labels, batches = cells
    expected = {
        label: np.mean(1 - np.abs(silhouette_samples(latent[labels == label], batches[labels == label])))
        for label in ("T", "B")
    }
    # distances from products, in blocks: equal to nine digits
    assert batch_asw_by_label(labels, latent, batches) == pytest.approx(expected, abs=1e-9)
    assert batch_asw(latent, labels, batches) == pytest.approx(np.mean(list(expected.values())), abs=1e-9)


def test_batches_far_apart_score_nearly_zero(cells):
    latent, labels, batches = cells
    assert batch_asw(latent + 1e6 * batches[:, None], labels, batches) == pytest.approx(0, abs=1e-4)


def test_a_cell_that_is_alone_of_its_batch_is_left_out(cells):
    latent, labels, batches = cells
    alone = np.where(np.arange(100) == 0, 9, batches)
    kept = np.arange(100) > 0
    assert batch_asw(latent, labels, alone) == batch_asw(latent[kept], labels[kept], batches[kept])


def test_labels_in_one_batch_have_no_value_and_are_in_no_mean(cells):
    latent, labels, batches = cells
    some = np.where(labels == "B", 0, batches)
    found = batch_asw_by_label(labels, latent, some)
    assert np.isnan(found["B"])
    assert batch_asw(latent, labels, some) == found["T"]
    with pytest.raises(DataError, match="two cells or more in each of two batches; none of 2 has"):
        batch_asw(latent, labels, np.zeros(100))


def test_of_many_cells_a_seeded_sample_is_scored(cells, monkeypatch):
    latent, labels, batches = cells
    exact = batch_asw(latent, labels, batches)
    monkeypatch.setattr("cellwright.metrics.silhouette.SCORED_CELLS", 30)
    monkeypatch.setattr("cellwright.metrics.silhouette.SCORED_PER_GROUP", 5)
    sampled = batch_asw(latent, labels, batches, seed=1)
    assert sampled == batch_asw(latent, labels, batches, seed=1)
    assert sampled != exact
    assert sampled == pytest.approx(exact, abs=0.1)
