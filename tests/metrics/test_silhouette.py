import numpy as np
import pytest
from sklearn.metrics import silhouette_samples, silhouette_score

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import silhouette as module
from cellwright.metrics.silhouette import silhouette, silhouette_by_label, silhouette_cluster


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b", "c", "alone"], 300, p=[0.5, 0.3, 0.19, 0.01])
    groups[groups == "alone"] = "a"
    groups[7] = "alone"  # a group of one cell has width 0
    centres = {"a": 0.0, "b": 1.0, "c": 2.0, "alone": 3.0}
    latent = rng.normal(size=(300, 5)) + np.array([centres[g] for g in groups])[:, None]
    return latent.astype(np.float32), groups


def test_of_clusters_equals_scikit_learn(cells):
    assert silhouette_cluster(*cells) == pytest.approx(silhouette_score(*cells), abs=1e-6)


def test_of_labels_is_scaled_to_0_and_1(cells):
    assert silhouette(*cells) == pytest.approx((silhouette_score(*cells) + 1) / 2, abs=1e-6)


def test_of_each_label_is_the_mean_over_its_cells(cells):
    latent, labels = cells
    widths = silhouette_samples(latent, labels)
    expected = {name: (widths[labels == name].mean() + 1) / 2 for name in ("a", "b", "c", "alone")}
    assert silhouette_by_label(latent, labels) == pytest.approx(expected, abs=1e-6)


def test_unlabelled_cells_are_left_out(cells):
    latent, labels = cells
    labels = np.where(labels == "c", None, labels)
    known = labels != None  # noqa: E711  (elementwise)
    assert silhouette(latent, labels) == silhouette(latent[known], labels[known])


def test_tight_groups_far_apart_reach_one():
    latent = np.repeat([[0.0, 0.0], [1e9, 0.0]], 10, axis=0) + np.tile([[0.0, 0.0], [0.0, 1.0]], (10, 1))
    assert silhouette_cluster(latent, np.repeat([0, 1], 10)) == pytest.approx(1)


def test_swapped_groups_have_a_negative_width():
    # within 10, to the other group (0 + 10) / 2 = 5: every width is (5 - 10) / 10
    latent = np.array([[0.0], [10.0], [0.0], [10.0]])
    assert silhouette_cluster(latent, [0, 0, 1, 1]) == pytest.approx(-0.5)


def test_cells_that_all_coincide_have_width_zero():
    assert silhouette_cluster(np.zeros((6, 2)), [0, 0, 0, 1, 1, 1]) == 0


def test_a_sample_of_cells_is_scored_against_all_cells(cells, monkeypatch):
    latent, labels = cells
    monkeypatch.setattr(module, "SCORED_CELLS", 100)
    monkeypatch.setattr(module, "SCORED_PER_GROUP", 10)
    codes = np.unique(labels, return_inverse=True)[1]
    rows = module.scored_rows(codes, np.random.default_rng(0))
    assert len(np.unique(rows)) == len(rows) < 300
    expected = silhouette_samples(latent, labels)[rows]
    np.testing.assert_allclose(module.widths(latent.astype(float), codes, rows), expected, atol=1e-6)


def test_the_mean_over_a_sample_is_unbiased(cells, monkeypatch):
    latent, labels = cells
    exact = silhouette(latent, labels)
    monkeypatch.setattr(module, "SCORED_CELLS", 100)
    monkeypatch.setattr(module, "SCORED_PER_GROUP", 10)
    estimates = [silhouette(latent, labels, seed=seed) for seed in range(50)]
    standard_error = np.std(estimates, ddof=1) / np.sqrt(50)
    assert np.mean(estimates) == pytest.approx(exact, abs=4 * standard_error)
    assert estimates[0] == silhouette(latent, labels, seed=0)


@pytest.mark.parametrize(
    ("latent", "error", "says"),
    [
        pytest.param(np.zeros((4, 2)), DataError, "a row for each of 3 cells", id="other cells"),
        pytest.param(np.zeros(3), DataError, "n_latent", id="no matrix"),
        pytest.param(np.array([[0.0], [np.nan], [1.0]]), UnsuitableValues, "finite", id="NaN"),
    ],
)
def test_a_latent_that_does_not_fit_is_refused(latent, error, says):
    with pytest.raises(error, match=says):
        silhouette_cluster(latent, [0, 0, 1])
