import anndata as ad
import joblib
import numpy as np
import pytest
import scanpy as sc
from sklearn.neighbors import NearestNeighbors

from cellwright.errors import DataError, MissingKey
from cellwright.tasks.embed import embed
from cellwright.tasks.neighbours import Known, nearest

COMPILES = pytest.mark.slow  # UMAP is compiled at first use, in ten to twenty seconds


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 150)
    latent = rng.normal(size=(150, 4)) + 30 * np.eye(3, 4)[codes]
    return ad.AnnData(rng.normal(size=(150, 2)), obs={"group": codes.astype(str)}, obsm={"X_vae": latent})


@COMPILES
def test_separated_groups_stay_separated(adata):
    embed(adata, use_rep="X_vae")
    picture = adata.obsm["X_vae_umap"]
    assert picture.shape == (150, 2)
    assert picture.dtype == np.float32
    groups = adata.obs["group"].to_numpy()
    partner = NearestNeighbors(n_neighbors=1).fit(picture).kneighbors(return_distance=False)[:, 0]
    np.testing.assert_array_equal(groups[partner], groups)


@COMPILES
def test_the_same_seed_gives_the_same_picture_and_another_seed_another(adata):
    for key, seed in (("first", 0), ("second", 0), ("other", 1)):
        embed(adata, use_rep="X_vae", key_added=key, seed=seed)
    np.testing.assert_array_equal(adata.obsm["first"], adata.obsm["second"])
    assert not np.array_equal(adata.obsm["first"], adata.obsm["other"])


@COMPILES
@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")  # umap says it where it is imported first
def test_the_graph_is_umaps_own_on_the_exact_neighbours(adata):
    from umap.umap_ import fuzzy_simplicial_set  # not at the top: the import compiles for seconds

    latent = adata.obsm["X_vae"]
    sc.pp.neighbors(adata, use_rep="X_vae", transformer=Known(latent, 14, 0))
    indices, distances = nearest(latent, 14, seed=0)
    indices = np.column_stack([np.arange(150), indices])
    distances = np.column_stack([np.zeros(150), distances])
    expected, _, _ = fuzzy_simplicial_set(latent, 15, None, "euclidean", knn_indices=indices, knn_dists=distances)
    np.testing.assert_allclose(adata.obsp["connectivities"].toarray(), expected.toarray(), atol=1e-6)


@COMPILES
def test_nothing_else_is_changed(adata):
    def parts():
        return [joblib.hash(part) for part in (adata.X, adata.obsm["X_vae"], adata.obs, adata.var)]

    before = parts()
    embed(adata, use_rep="X_vae")
    assert parts() == before
    assert list(adata.obsm) == ["X_vae", "X_vae_umap"]
    assert not adata.uns
    assert not adata.obsp


def test_a_misspelt_representation_is_refused(adata):
    with pytest.raises(MissingKey, match="Did you mean 'X_vae'"):
        embed(adata, use_rep="X_vea")


def test_three_cells_are_refused(adata):
    with pytest.raises(DataError, match="at least four cells; there are 3"):
        embed(adata[:3].copy(), use_rep="X_vae")


@COMPILES
@pytest.mark.parametrize("n_obs", [4, 10])
def test_a_few_cells_are_placed_at_finite_positions(adata, n_obs):
    few = adata[:n_obs].copy()
    embed(few, use_rep="X_vae")
    assert np.isfinite(few.obsm["X_vae_umap"]).all()
