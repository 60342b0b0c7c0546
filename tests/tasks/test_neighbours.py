import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from cellwright.errors import DataError, MissingKey, UnsuitableValues
from cellwright.tasks import neighbours
from cellwright.tasks.neighbours import nearest, representation


@pytest.fixture
def latent():
    return np.random.default_rng(0).normal(size=(200, 5))


def all_distances(latent):
    distances = cdist(latent, latent)
    np.fill_diagonal(distances, np.inf)
    return distances


def test_equals_sorting_all_pairwise_distances(latent):
    distances = all_distances(latent)
    found, far = nearest(latent, 7, seed=0)
    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :7])
    np.testing.assert_allclose(far, np.sort(distances, axis=1)[:, :7], atol=1e-9)


def test_a_cell_is_not_among_its_neighbours_even_where_cells_are_identical():
    found, _ = nearest(np.zeros((20, 3)), 5, seed=0)
    assert not (found == np.arange(20)[:, None]).any()


def test_more_neighbours_than_other_cells_gives_all_other_cells(latent):
    found, _ = nearest(latent[:4], 15, seed=0)
    np.testing.assert_array_equal(np.sort(found, axis=1), [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


@pytest.mark.slow
def test_beyond_the_exact_size_most_neighbours_are_the_true_ones(latent, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 100)
    exact = np.argsort(all_distances(latent), axis=1)[:, :15]
    found, far = nearest(latent, 15, seed=0)
    assert np.mean([len(np.intersect1d(a, b)) / 15 for a, b in zip(found, exact, strict=True)]) > 0.9
    assert not (found == np.arange(200)[:, None]).any()
    assert (np.diff(far, axis=1) >= 0).all()


def test_a_single_cell_has_no_neighbours():
    with pytest.raises(DataError, match="at least two cells; there is 1"):
        nearest(np.zeros((1, 2)), 5, seed=0)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(np.asarray, id="array"),
        pytest.param(sparse.csr_matrix, id="sparse"),
        pytest.param(lambda x: pd.DataFrame(x, index=[str(i) for i in range(200)], columns=list("abcde")), id="frame"),
    ],
)
def test_a_representation_of_every_kind_is_read_as_a_dense_array(latent, kind):
    adata = ad.AnnData(np.zeros((200, 1)), obsm={"X_vae": kind(latent)})
    np.testing.assert_array_equal(representation(adata, "X_vae"), latent)


def test_a_misspelt_representation_is_named_with_the_one_that_was_meant(latent):
    adata = ad.AnnData(np.zeros((200, 1)), obsm={"X_vae": latent})
    with pytest.raises(MissingKey, match=r"obsm has no 'X_vea' \(use_rep\).*Did you mean 'X_vae'"):
        representation(adata, "X_vea")


def test_a_representation_with_nan_is_refused_with_the_number_of_cells(latent):
    latent[[3, 5], 0] = np.nan
    with pytest.raises(UnsuitableValues, match="2 of 200 cells"):
        representation(ad.AnnData(np.zeros((200, 1)), obsm={"X_vae": latent}), "X_vae")
