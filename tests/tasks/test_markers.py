import anndata as ad
import joblib
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu

from cellwright.errors import DataError, MissingKey, UnsuitableValues
from cellwright.tasks.markers import markers

COLUMNS = ["cluster", "rank", "feature", "log2_fold_change", "mean_in", "mean_out", "fraction_in", "fraction_out"]
COLUMNS += ["effect_size", "p_value", "p_adjusted"]


@pytest.fixture
def cells():
    """200 cells of three groups, 80 log-normalised features, half of the values zero; g0 to g2 mark a group each."""
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b", "c"], 200)
    values = rng.exponential(size=(200, 80)) * (rng.random((200, 80)) < 0.5)
    for feature, name in enumerate("abc"):
        values[:, feature] += 2 * (groups == name)
    var = pd.DataFrame(index=[f"g{i}" for i in range(80)])
    return ad.AnnData(sparse.csr_matrix(values), var=var), groups


def everything(adata, groups, **options):
    """The table over all features, by cluster and feature."""
    return markers(adata, groups, n_top=adata.n_vars, **options).set_index(["cluster", "feature"])


def test_the_planted_feature_is_each_groups_first_marker(cells):
    table = markers(*cells, n_top=1)
    assert table["feature"].tolist() == ["g0", "g1", "g2"]
    assert table.columns.tolist() == COLUMNS


def test_p_value_and_effect_size_equal_scipys_mann_whitney_test(cells):
    adata, groups = cells
    values, table = adata.X.toarray(), everything(*cells)
    for name in "abc":
        inside, outside = values[groups == name], values[groups != name]
        u, p = mannwhitneyu(inside, outside, axis=0, use_continuity=False, method="asymptotic")
        found = table.loc[name].loc[adata.var_names]
        np.testing.assert_allclose(found["effect_size"], u / (len(inside) * len(outside)))
        np.testing.assert_allclose(found["p_value"], p, rtol=1e-9)
        np.testing.assert_allclose(found["p_adjusted"], false_discovery_control(p), rtol=1e-9)


@pytest.mark.slow  # scanpy compiles for ten seconds
def test_p_values_equal_those_of_scanpy(cells):
    adata, groups = cells
    table = everything(*cells)
    copy = adata.copy()
    copy.obs["group"] = pd.Categorical(groups)
    sc.tl.rank_genes_groups(copy, "group", method="wilcoxon", tie_correct=True)
    for name in "abc":
        expected = sc.get.rank_genes_groups_df(copy, name).set_index("names")["pvals"]
        np.testing.assert_allclose(table.loc[name, "p_value"][expected.index], expected, rtol=1e-6)


def test_a_planted_fold_change_of_counts_is_exact():
    # every cell holds 10 counts: feature "up" 3 of them inside and 1 outside, "only" none inside
    inside, outside = [3, 0, 7], [1, 2, 7]
    adata = ad.AnnData(np.array([inside] * 5 + [outside] * 4, dtype=np.float32))
    adata.var_names = ["up", "only", "same"]
    table = everything(adata, np.array(["in"] * 5 + ["out"] * 4)).loc["in"]
    assert table.loc["up", ["mean_in", "mean_out"]].tolist() == pytest.approx([3000, 1000])
    assert table.loc["up", "log2_fold_change"] == pytest.approx(np.log2(3001 / 1001))
    assert table.loc["only", ["fraction_in", "fraction_out"]].tolist() == [0, 1]
    assert table.loc[["up", "only", "same"], "effect_size"].tolist() == [1, 0, 0.5]
    assert table.loc["same", "p_value"] == 1


def test_counts_give_the_same_table_as_their_log_normalised_values():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, size=(60, 12)).astype(np.float64)
    groups = rng.choice(["a", "b"], 60)
    logarithms = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    adata = ad.AnnData(counts, layers={"log1p": logarithms})
    pd.testing.assert_frame_equal(markers(adata, groups), markers(adata, groups, layer="log1p"))


def test_values_too_large_for_logarithms_are_normalised_as_counts_are():
    rng = np.random.default_rng(0)
    rpkm = rng.exponential(1000.0, size=(30, 6))
    groups = np.repeat(["a", "b"], 15)
    scaled = np.log1p(rpkm / rpkm.sum(axis=1, keepdims=True) * 1e4)
    pd.testing.assert_frame_equal(markers(ad.AnnData(rpkm), groups), markers(ad.AnnData(scaled), groups))


def test_values_with_negatives_are_compared_as_they_are_and_have_no_fold_change():
    values = np.random.default_rng(0).normal(size=(40, 3))
    groups = np.repeat(["a", "b"], 20)
    table = everything(ad.AnnData(values), groups).loc["a"].loc[["0", "1", "2"]]
    assert table["log2_fold_change"].isna().all()
    np.testing.assert_allclose(table["mean_in"], values[:20].mean(axis=0))
    expected = mannwhitneyu(values[:20], values[20:], axis=0, use_continuity=False, method="asymptotic").pvalue
    np.testing.assert_allclose(table["p_value"], expected)


def test_dense_and_sparse_values_give_the_same_table(cells):
    adata, groups = cells
    dense = ad.AnnData(adata.X.toarray(), var=adata.var)
    pd.testing.assert_frame_equal(markers(dense, groups), markers(adata, groups))


def test_a_group_of_one_cell_is_listed_without_p(cells):
    adata, groups = cells
    groups = np.append(["alone"], groups[1:])
    table = markers(adata, groups, n_top=3).set_index("cluster")
    assert len(table.loc["alone"]) == 3
    assert table.loc["alone", ["p_value", "p_adjusted"]].isna().all(axis=None)
    assert table.drop("alone")["p_value"].notna().all()


def test_cells_without_a_group_are_left_out(cells):
    adata, groups = cells
    missing = np.where(groups == "c", None, groups)
    known = groups != "c"
    pd.testing.assert_frame_equal(markers(adata, missing), markers(adata[known].copy(), groups[known]))


def test_the_input_is_left_as_it_is(cells):
    adata, groups = cells
    before = joblib.hash(adata.X)
    markers(adata, groups)
    assert joblib.hash(adata.X) == before
    assert not adata.uns
    assert not len(adata.obs.columns)


def test_a_single_group_is_refused(cells):
    with pytest.raises(DataError, match="at least two; there is 'a'"):
        markers(cells[0], np.full(200, "a"))


def test_groups_of_other_cells_are_refused(cells):
    with pytest.raises(DataError, match="each of 200 cells; it has 3 entries"):
        markers(cells[0], np.array(["a", "b", "a"]))


def test_a_misspelt_layer_is_refused(cells):
    adata, groups = cells
    adata.layers["counts"] = adata.X
    with pytest.raises(MissingKey, match="Did you mean 'counts'"):
        markers(adata, groups, layer="count")


def test_cells_without_values_are_refused():
    with pytest.raises(MissingKey, match="adata has no X"):
        markers(ad.AnnData(obs=pd.DataFrame(index=["1", "2"])), np.array(["a", "b"]))


def test_values_that_are_not_finite_are_refused(cells):
    adata, groups = cells
    adata.X.data[0] = np.nan
    with pytest.raises(UnsuitableValues, match="finite"):
        markers(adata, groups)
