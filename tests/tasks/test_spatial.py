"""Domains of a tissue: refinement and smoothing by hand, what is written, what is refused."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.place_graph import PlaceGraphOptions, place_graph
from cellwright.data.source import StoredSource
from cellwright.errors import AbilityError, DataError
from cellwright.metrics.ari import ari
from cellwright.models import build
from cellwright.tasks.spatial import SpatialOptions, refined, smoothed, spatial
from cellwright.train.fit import fit

FAST = SpatialOptions(n_permutations=99)


def tissue(side=16, seed=0):
    """Two halves of a square with other rates, and a few spots whose label says that there is none."""
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    half = (places[:, 0] >= side / 2).astype(int)
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2, 1, (2, 25))[half]
    label = np.array(["left", "right"])[half].astype(object)
    label[:3] = "unlabelled"
    obs = pd.DataFrame({"region": label}, index=[f"s{i}" for i in range(len(places))])
    return AnnData(sparse.csr_matrix(rng.poisson(3 * rates).astype(np.float32)), obs=obs, obsm={"spatial": places})


@pytest.fixture(scope="module")
def cells():
    return tissue()


@pytest.fixture(scope="module")
def data(cells) -> StoredSource:
    return open_data(cells, label_key="region", coordinates_key="spatial")


@pytest.fixture(scope="module")
def model(data):
    model = build("pca", data.schema, n_latent=5)
    fit(model, data, progress=False)
    return model


@pytest.fixture(scope="module")
def found(model, data):
    return spatial(model, data, FAST)


def line(n):
    places = np.stack([np.arange(float(n)), np.zeros(n)], axis=1)
    return place_graph(places, np.zeros(n), PlaceGraphOptions(kind="radius", radius=1.1))


def test_domains_are_the_planted_halves(found, cells):
    labelled = cells.obs["region"] != "unlabelled"
    assert ari(cells.obs["region"][labelled], found.obs["domain"][labelled]) > 0.8
    assert found.obs["domain"].nunique() == 2  # not three: "unlabelled" is no label
    assert list(found.obs_names) == list(cells.obs_names)


def test_what_is_written(found, cells):
    np.testing.assert_array_equal(found.obsm["spatial"], cells.obsm["spatial"].astype(np.float32))
    assert found.obsm["X_pca"].shape == (256, 5)
    assert {"domain", "domain_refined"} <= set(found.obs)
    assert found.uns["domain"]["n_clusters"] == 2
    pairs = found.uns["enrichment"]
    assert set(pairs["first"]) | set(pairs["second"]) == {"left", "right"}
    assert pairs.set_index(["first", "second"]).loc[("left", "right"), "z"] < -5


def test_the_input_is_left_alone(model, cells):
    before = cells.copy()
    spatial(model, cells, FAST)
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert set(cells.obsm) == {"spatial"}


def test_without_labels_domains_are_the_pairs(model, cells):
    plain = cells.copy()
    plain.obs = plain.obs.drop(columns="region")
    source = open_data(plain, coordinates_key="spatial")
    other = build("pca", source.schema, n_latent=5)
    fit(other, source, progress=False)
    found = spatial(other, source, SpatialOptions(n_domains=3, n_permutations=99))
    assert set(found.uns["enrichment"]["first"]) <= {"0", "1", "2"}
    assert found.obs["domain"].nunique() == 3


def test_refinement_by_hand():
    domain = np.array(["a", "a", "b", "a", "a", "b", "b", "b"])
    # a spot between two others takes theirs; those at a boundary have one neighbour of each and stay
    assert refined(domain, line(8), 1).tolist() == ["a", "a", "a", "a", "a", "b", "b", "b"]


def test_a_cell_without_neighbours_keeps_its_domain():
    graph = sparse.csr_array((3, 3))
    assert refined(np.array(["a", "b", "a"]), graph, 2).tolist() == ["a", "b", "a"]


def test_refining_twice_goes_on_from_the_first():
    domain = np.array(list("aabbaabb"))
    graph = line(8)
    once = refined(domain, graph, 1)
    np.testing.assert_array_equal(refined(once, graph, 1), refined(domain, graph, 2))


def test_smoothing_by_hand():
    latent = np.array([[0.0], [1.0], [1.0]])
    weight = np.exp(-1 / (2 * 0.5))  # squared distances of the four edges are 1, 1, 0, 0: their median is a half
    expected = [[weight / (1 + weight)], [(1 + 1) / (2 + weight)], [1.0]]
    np.testing.assert_allclose(smoothed(latent, line(3), 1), expected)


def test_smoothing_keeps_a_boundary_and_takes_noise_away():
    rng = np.random.default_rng(0)
    half = np.arange(60) >= 30
    latent = 8.0 * half[:, None] + rng.normal(0, 1, (60, 2))
    after = smoothed(latent, line(60), 10)
    assert after[half].std(axis=0).max() < 0.75 * latent[half].std(axis=0).max()
    assert abs((after[half].mean() - after[~half].mean()) - (latent[half].mean() - latent[~half].mean())) < 0.1


def test_smoothing_of_cells_that_are_all_alike_changes_nothing():
    np.testing.assert_array_equal(smoothed(np.ones((5, 2)), line(5), 3), np.ones((5, 2)))


def test_smoothed_latents_are_clustered_and_the_latent_is_written_as_it_was(model, data):
    plain, smooth = (spatial(model, data, SpatialOptions(n_permutations=99, smoothings=n, n_domains=5)) for n in (0, 4))
    np.testing.assert_array_equal(plain.obsm["X_pca"], smooth.obsm["X_pca"])
    assert ari(plain.obs["domain"], smooth.obs["domain"]) < 1


def test_a_section_of_one_cell_and_cells_at_one_place_have_domains(cells):
    crowded = cells.copy()
    crowded.obsm["spatial"][10:60] = 1.0
    crowded.obs["section"] = ["alone", *["others"] * 255]
    source = open_data(crowded, batch_key="section", coordinates_key="spatial")
    other = build("pca", source.schema, n_latent=5)
    fit(other, source, progress=False)
    found = spatial(other, source, SpatialOptions(n_domains=2, n_permutations=99))
    assert found.obs["domain"].notna().all()
    assert found.obs["domain_refined"].iloc[0] == found.obs["domain"].iloc[0]


def test_data_without_coordinates_are_refused_in_a_sentence(cells):
    source = open_data(cells)
    other = build("pca", source.schema, n_latent=5)
    fit(other, source, progress=False)
    with pytest.raises(DataError, match=r"`spatial` must have the places of the cells.*coordinates_key"):
        spatial(other, source, FAST)


def test_a_model_that_does_not_encode_is_refused(data):
    other = build("gene_mean", data.schema)
    fit(other, data, progress=False)
    with pytest.raises(AbilityError, match="encodes"):
        spatial(other, data, FAST)


def test_a_tissue_without_pairs_has_no_enrichment(model, cells):
    single = cells.copy()
    single.obs["region"] = "left"
    found = spatial(model, open_data(single, schema=model.schema), SpatialOptions(n_domains=2, n_permutations=99))
    assert "enrichment" not in found.uns


def test_an_annotation_of_the_name_that_domains_get_is_not_replaced(cells, model):
    """Scored against it, every domain would be right."""
    named = cells.copy()
    named.obs["domain"] = named.obs["region"]
    with pytest.raises(DataError, match="obs must not have 'domain', under which `spatial` writes what it finds"):
        spatial(model, named, FAST)
