"""Enrichment: counts by hand, the closed-form expectation, planted patterns, a null that holds its level."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.place_graph import PlaceGraphOptions, place_graph
from cellwright.errors import DataError, MissingKey
from cellwright.tasks.enrichment import COLUMNS, EnrichmentOptions, edges_by_pair, enriched, enrichment

FEW = EnrichmentOptions(n_permutations=199, min_cells=1)
TOUCHING = PlaceGraphOptions(kind="radius", radius=1.1)  # the four sides of a unit square


def grid(side=12):
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)


def cells(places, label, **columns):
    obs = pd.DataFrame({"type": label, **columns}, index=[f"c{i}" for i in range(len(places))])
    return AnnData(obs=obs, obsm={"spatial": places})


def table_of(adata, options=FEW, **keys):
    enrichment(adata, options, label_key="type", graph=TOUCHING, **keys)
    return adata.uns["enrichment"].set_index(["first", "second"])


def test_a_checkerboard_is_depleted_of_edges_within_a_colour():
    places = grid()
    found = table_of(cells(places, np.where(places.sum(axis=1) % 2, "black", "white")))
    assert found["n_edges"].tolist() == [0, 264, 0]
    assert (found.loc[("black", "black"), "z"], found.loc[("white", "white"), "z"]) < (-5, -5)
    assert found.loc[("black", "white"), "z"] > 5
    assert (found["p_value"] == 1 / 200).all()


def test_two_halves_are_enriched_with_themselves():
    places = grid()
    found = table_of(cells(places, np.where(places[:, 0] < 6, "left", "right")))
    assert found["n_edges"].tolist() == [126, 12, 126]
    assert (found["z"] > 5).tolist() == [True, False, True]
    assert found.loc[("left", "right"), "z"] < -5


def test_expected_is_that_of_the_closed_form():
    """Of m edges among n cells, m n_a (n_a - 1) / (n (n - 1)) are within a, m 2 n_a n_b / (n (n - 1)) between."""
    rng = np.random.default_rng(0)
    places = rng.random((150, 2))
    section = rng.choice([0, 1], 150, p=(0.4, 0.6))
    label = rng.choice(3, 150, p=(0.2, 0.3, 0.5))
    graph = place_graph(places, section)
    found = enriched(graph, label, "abc", section, EnrichmentOptions(n_permutations=4000, min_cells=1))
    expected = np.zeros((3, 3))
    for name in (0, 1):
        rows = np.flatnonzero(section == name)
        part = graph[rows][:, rows]
        m, n, sizes = part.maximum(part.T).nnz / 2, len(rows), np.bincount(label[rows], minlength=3)
        pairs = 2 * np.outer(sizes, sizes) - np.diag(sizes**2 + sizes)
        expected += m * pairs / (n * (n - 1))
    closed = expected[np.triu_indices(3)]
    # the standard deviation of a count is at most that of a binomial, about sqrt(expected)
    assert (np.abs(found["expected"] - closed) < 4 * np.sqrt(closed / 4000)).all()
    assert found["n_edges"].sum() == pytest.approx(closed.sum())


def test_edges_by_pair_by_hand():
    edges = np.array([[0, 0, 1, 2], [1, 2, 3, 3]])
    np.testing.assert_array_equal(edges_by_pair(edges, np.array([0, 0, 1, 1]), 2), [[1, 2], [2, 1]])


def test_labels_without_a_relation_to_places_are_found_enriched_no_more_often_than_the_level():
    rng = np.random.default_rng(0)
    places = rng.random((100, 2))
    graph = place_graph(places, np.zeros(100))
    p_values = [
        enriched(graph, rng.integers(0, 2, 100), "ab", np.zeros(100), FEW)["p_value"].iloc[1] for _ in range(100)
    ]
    assert np.mean(np.array(p_values) <= 0.1) < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 100)


def test_no_edge_crosses_sections_and_labels_are_permuted_within_them():
    """Each section holds one label: whatever is permuted, the counts stay, so nothing is enriched."""
    places = np.concatenate([grid(4), grid(4)])
    section = np.repeat(["s1", "s2"], 16)
    found = table_of(cells(places, np.repeat(["a", "b"], 16), section=section), batch_key="section")
    assert found["n_edges"].tolist() == [24, 0, 24]
    assert found["expected"].tolist() == [24, 0, 24]
    assert found["z"].isna().all()
    assert (found["p_value"] == 1).all()


def test_cells_without_a_label_and_their_edges_are_left_out():
    places = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    found = table_of(cells(places, ["a", "b", None, "a"]))
    assert found["n_edges"].tolist() == [0, 1, 0]
    assert found["expected"].sum() == pytest.approx(1)


def test_labels_with_few_cells_are_left_out_of_the_pairs():
    label = np.array(["a", "b"] * 70 + ["rare"] * 4)
    found = table_of(cells(grid(), label), EnrichmentOptions(n_permutations=99, min_cells=5))
    assert found.index.tolist() == [("a", "a"), ("a", "b"), ("b", "b")]


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    places = grid()
    label = np.where(places[:, 0] < 6, "left", np.where(places[:, 1] < 6, "up", "down"))
    found = table_of(cells(places, label))
    p, rank = found["p_value"].to_numpy(), found["p_value"].rank(method="max").to_numpy()
    expected = [min(1, (p[p >= value] * len(p) / rank[p >= value]).min()) for value in p]
    np.testing.assert_allclose(found["p_adjusted"], expected)


def test_the_same_seed_repeats_and_the_input_is_left_alone():
    adata = cells(grid(), np.random.default_rng(0).choice(["a", "b"], 144))
    obs = adata.obs.copy()
    first = table_of(adata)
    pd.testing.assert_frame_equal(first, table_of(adata))
    pd.testing.assert_frame_equal(adata.obs, obs)
    assert list(adata.uns["enrichment"].columns) == COLUMNS


@pytest.mark.parametrize("key", ["label_key", "coordinates_key", "batch_key"])
def test_a_key_that_is_not_there_is_refused(key):
    with pytest.raises(MissingKey, match=key):
        enrichment(cells(grid(3), ["a"] * 9), FEW, **{"label_key": "type", key: "nowhere"})


def test_a_single_label_and_a_tissue_without_edges_are_refused():
    with pytest.raises(DataError, match="must have two labels"):
        table_of(cells(grid(3), ["a"] * 9))
    apart = cells(grid(3) * 5, ["a", "b", "a"] * 3)
    with pytest.raises(DataError, match="must have cells with neighbours"):
        table_of(apart)


def test_a_graph_of_another_package_serves_as_well():
    graph = sparse.csr_array(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float))
    found = enriched(graph, np.array([0, 1, 0]), "ab", np.zeros(3), FEW)
    assert found["n_edges"].tolist() == [0, 2, 0]
