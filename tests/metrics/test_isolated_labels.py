"""Isolated labels are those in the fewest batches; their silhouettes are among all labels."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from cellwright.errors import DataError
from cellwright.metrics.isolated_labels import in_fewest_batches, isolated_by_label, isolated_labels

LABELS = np.repeat(["T", "B", "NK"], [40, 30, 30])
BATCHES = np.where(LABELS == "B", 0, np.where(LABELS == "NK", np.arange(100) % 2, np.arange(100) % 3))


def test_the_fewest_are_counted_over_cells_that_have_both():
    assert in_fewest_batches(LABELS, BATCHES) == ["B"]
    # without the cells of two batches NK is in one, too
    assert in_fewest_batches(LABELS, np.where((LABELS == "NK") & (BATCHES == 1), None, BATCHES)) == ["B", "NK"]
    assert in_fewest_batches(LABELS, np.zeros(100)) == ["T", "B", "NK"]


def test_is_the_mean_scaled_width_of_those_among_all():
    latent = np.random.default_rng(0).normal(size=(100, 3)) + (LABELS == "B")[:, None]
    expected = (silhouette_samples(latent, LABELS)[LABELS == "B"].mean() + 1) / 2
    assert isolated_labels(latent, LABELS, BATCHES) == pytest.approx(expected, abs=1e-9)
    assert list(isolated_by_label(LABELS, latent, BATCHES)) == ["B"]


def test_labels_and_batches_that_no_cell_has_both_of_are_refused():
    with pytest.raises(DataError, match="none has both"):
        isolated_labels(np.zeros((2, 2)), ["T", None], [None, "first"])
    with pytest.raises(DataError, match="2 and 1 entries"):
        isolated_labels(np.zeros((2, 2)), ["T", "B"], ["first"])
