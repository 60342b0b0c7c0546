import sys

import anndata as ad
import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score, silhouette_score

from cellwright.errors import DataError, MissingKey, OptionError
from cellwright.tasks import cluster as module
from cellwright.tasks.cluster import ClusterOptions, best_leiden_by_labels, cluster, cluster_labels

METHODS = ["kmeans", "dbscan", "leiden"]


def blobs(n_blobs: int, n_each: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian groups of unit variance, 30 standard deviations apart, in shuffled order."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(n_blobs), n_each))
    return rng.normal(size=(len(codes), n_blobs)) + 30 * np.eye(n_blobs)[codes], codes


@pytest.mark.parametrize("n_blobs", [2, 3, 6])
@pytest.mark.parametrize("method", ["kmeans", "leiden"])
def test_planted_groups_are_found_and_counted(method, n_blobs):
    latent, codes = blobs(n_blobs)
    found = cluster_labels(latent, ClusterOptions(method=method))
    assert adjusted_rand_score(codes, found.labels) == 1
    assert found.n_clusters == n_blobs


@pytest.mark.parametrize("method", ["kmeans", "leiden"])
def test_candidates_are_compared_on_a_sample_of_large_data(method, monkeypatch):
    monkeypatch.setattr(module, "COMPARED_CELLS", 100)
    latent, codes = blobs(4, n_each=100)
    assert adjusted_rand_score(codes, cluster_labels(latent, ClusterOptions(method=method)).labels) == 1


def test_candidates_hold_the_silhouette_of_each_number_of_clusters():
    latent, _ = blobs(3)
    found = cluster_labels(latent, ClusterOptions())
    for n_clusters in (2, 3, 7):
        labels = KMeans(n_clusters, n_init=10, random_state=0).fit_predict(latent)
        assert found.candidates[n_clusters] == pytest.approx(silhouette_score(latent, labels))
    assert found.chosen["n_clusters"] == max(found.candidates, key=found.candidates.get)


@pytest.mark.parametrize("seed", range(3))
def test_dbscan_finds_two_moons_and_planted_noise(seed):
    moons, codes = make_moons(400, noise=0.04, random_state=seed)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    noise = 10 * np.column_stack([np.cos(angles), np.sin(angles)])
    latent, truth = np.vstack([moons, noise]), np.append(codes.astype(str), ["-1"] * 12)
    found = cluster_labels(latent, ClusterOptions(method="dbscan", radius=0.3))
    assert adjusted_rand_score(truth, found.labels) == 1
    assert set(found.labels[-12:]) == {"-1"}
    assert found.n_clusters == 2


def test_the_automatic_radius_of_dbscan_lies_between_the_distances_within_a_group_and_those_of_noise():
    # a grid with steps of 1, and noise 100 or more away from it
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    noise = np.array([[-100.0, 0.0], [0.0, -300.0], [500.0, 0.0], [0.0, 700.0]])
    found = cluster_labels(np.vstack([grid, noise]), ClusterOptions(method="dbscan"))
    assert found.labels.tolist() == ["0"] * 400 + ["-1"] * 4
    assert 1 <= found.chosen["radius"] < 100


def test_an_edge_of_the_leiden_graph_weighs_the_jaccard_index_of_its_neighbourhoods():
    latent = np.random.default_rng(0).normal(size=(30, 3))
    graph = module._shared_neighbours(module.nearest(latent, 4, seed=0)[0]).toarray()
    order = np.argsort(((latent[:, None] - latent) ** 2).sum(axis=-1), axis=1)[:, :5]  # the cell itself is first
    around = [set(row) for row in order]
    expected = np.zeros((30, 30))
    for i, j in zip(np.repeat(np.arange(30), 4), order[:, 1:].ravel(), strict=True):
        expected[i, j] = expected[j, i] = len(around[i] & around[j]) / len(around[i] | around[j])
    np.testing.assert_allclose(graph, expected)


def test_separated_groups_as_large_as_a_neighbourhood_are_cliques_of_weight_one():
    latent, codes = blobs(3, n_each=16)
    graph = module._shared_neighbours(module.nearest(latent, 15, seed=0)[0]).toarray()
    np.testing.assert_array_equal(graph, (codes[:, None] == codes) & ~np.eye(48, dtype=bool))


def test_a_higher_resolution_gives_more_clusters():
    latent = np.random.default_rng(0).normal(size=(300, 4))
    coarse, fine = (cluster_labels(latent, ClusterOptions(method="leiden", resolution=r)) for r in (0.1, 3.0))
    assert coarse.n_clusters < fine.n_clusters


def test_the_oracle_is_the_best_of_all_resolutions_by_agreement_with_the_labels():
    latent = np.random.default_rng(0).normal(size=(200, 3))
    labels, resolutions = np.where(latent[:, 0] > 0, "T", "B"), (0.1, 0.4, 1.0, 2.0)
    options = [ClusterOptions(method="leiden", resolution=resolution) for resolution in resolutions]
    scores = [adjusted_rand_score(labels, cluster_labels(latent, each).labels) for each in options]
    assert best_leiden_by_labels(latent, labels, resolutions) == (max(scores), resolutions[np.argmax(scores)])


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_cluster_is_called_0(method):
    latent, codes = blobs(2)
    few = (codes == 0) | (np.cumsum(codes == 1) <= 25)
    found = cluster_labels(latent[few], ClusterOptions(method=method))
    sizes = {name: (found.labels == name).sum() for name in set(found.labels) - {"-1"}}
    assert sorted(sizes, key=lambda name: -sizes[name]) == [str(i) for i in range(len(sizes))]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_clusters(method):
    latent = np.random.default_rng(0).normal(size=(120, 3))
    first, second = (cluster_labels(latent, ClusterOptions(method=method, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.chosen == second.chosen


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_separated_cells_does_not_matter(method):
    latent, _ = blobs(3)
    order = np.random.default_rng(1).permutation(len(latent))
    one, other = (cluster_labels(cells, ClusterOptions(method=method)).labels for cells in (latent, latent[order]))
    assert adjusted_rand_score(one[order], other) == 1


@pytest.mark.parametrize("method", ["kmeans", "dbscan"])
def test_cells_that_all_coincide_are_one_cluster(method):
    assert set(cluster_labels(np.zeros((30, 2)), ClusterOptions(method=method)).labels) == {"0"}


@pytest.mark.parametrize("method", METHODS)
def test_a_single_cell_is_refused(method):
    with pytest.raises(DataError, match="at least two cells; there is 1"):
        cluster_labels(np.zeros((1, 2)), ClusterOptions(method=method))


def test_more_clusters_than_cells_are_refused():
    with pytest.raises(DataError, match="at most the number of cells, 3; it is 8"):
        cluster_labels(np.arange(6.0).reshape(3, 2), ClusterOptions(n_clusters=8))


@pytest.mark.parametrize(
    ("values", "owner"),
    [
        pytest.param({"method": "leiden", "n_clusters": 8}, "kmeans", id="n_clusters for leiden"),
        pytest.param({"method": "kmeans", "resolution": 1.0}, "leiden", id="resolution for kmeans"),
        pytest.param({"method": "leiden", "radius": 1.0}, "dbscan", id="radius for leiden"),
    ],
)
def test_an_option_that_the_method_does_not_read_is_refused(values, owner):
    with pytest.raises(OptionError, match=f"must be left out for method '{values['method']}', because only '{owner}'"):
        ClusterOptions(**values)


def test_leiden_without_igraph_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(OptionError, match=r"cellwright\[leiden\]"):
        cluster_labels(blobs(2)[0], ClusterOptions(method="leiden"))


@pytest.fixture
def adata():
    latent, codes = blobs(3)
    values = sparse.random(120, 10, density=0.3, format="csr", random_state=0)
    return ad.AnnData(values, obs={"cell_type": codes.astype(str)}, obsm={"X_vae": latent})


@pytest.mark.parametrize("method", METHODS)
def test_the_keys_are_written_and_survive_a_file(adata, method, tmp_path):
    cluster(adata, ClusterOptions(method=method, seed=5), use_rep="X_vae", key_added="groups")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    direct = cluster_labels(adata.obsm["X_vae"], ClusterOptions(method=method, seed=5))
    np.testing.assert_array_equal(read.obs["groups"].astype(str), direct.labels)
    assert read.obs["groups"].dtype == "category"
    record = read.uns["groups"]
    assert record["options"]["method"] == method
    assert record["seed"] == record["options"]["seed"] == 5
    assert record["n_clusters"] == direct.n_clusters
    assert record["chosen"] == pytest.approx(direct.chosen)
    np.testing.assert_allclose(record["candidates"]["value"], list(direct.candidates))
    np.testing.assert_allclose(record["candidates"]["silhouette"], list(direct.candidates.values()))


def test_nothing_else_is_changed(adata):
    def parts():
        return [joblib.hash(part) for part in (adata.X, adata.obsm["X_vae"], adata.obs[["cell_type"]], adata.var)]

    before = parts()
    cluster(adata, use_rep="X_vae")
    assert parts() == before
    assert list(adata.obs) == ["cell_type", "cluster"]
    assert list(adata.uns) == ["cluster"]
    assert list(adata.obsm) == ["X_vae"]


def test_categories_are_in_natural_order_with_noise_first(adata):
    far_apart = 100.0 * np.append(np.repeat(np.arange(12), 9), np.arange(12, 24))  # 12 groups of 9, then 12 alone
    adata.obsm["X_vae"] = far_apart[:, None]
    cluster(adata, ClusterOptions(method="dbscan", radius=1.0, min_samples=5), use_rep="X_vae")
    assert list(adata.obs["cluster"].cat.categories) == ["-1", *map(str, range(12))]


def test_a_misspelt_representation_is_refused(adata):
    with pytest.raises(MissingKey, match="Did you mean 'X_vae'"):
        cluster(adata, use_rep="X_vea")


def test_two_real_cell_lines_are_told_apart(real_data):
    adata = ad.read_h5ad(real_data("jurkat_293t_pcs"))
    found = cluster_labels(np.asarray(adata.X), ClusterOptions(n_clusters=2))
    assert adjusted_rand_score(adata.obs["cell_type"], found.labels) > 0.95


def test_a_column_of_the_user_is_not_overwritten():
    latent, codes = blobs(2)
    adata = ad.AnnData(obsm={"X_pca": latent})
    adata.obs["cluster"] = codes
    with pytest.raises(DataError, match=r"obs already has 'cluster', which `cluster` did not write.*key_added"):
        cluster(adata, use_rep="X_pca")
    assert adata.obs["cluster"].tolist() == codes.tolist()


def test_clusters_of_its_own_are_replaced():
    latent, _ = blobs(3)
    adata = ad.AnnData(obsm={"X_pca": latent})
    cluster(adata, ClusterOptions(n_clusters=2), use_rep="X_pca")
    cluster(adata, ClusterOptions(n_clusters=3), use_rep="X_pca")
    assert adata.obs["cluster"].nunique() == 3
