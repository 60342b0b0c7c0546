"""Preprocessing against hand-made tables, scanpy and scikit-learn; held-out cells enter nothing."""

import hashlib
import json
import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from sklearn.impute import KNNImputer

from cellwright.data.preprocess import PreprocessOptions, normalise_log1p, preprocess
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, MissingKey, OptionError, UnsuitableValues

NAN = np.nan
KEEP_ALL = {"min_genes_per_cell": 0, "min_cells_per_gene": 0}


def table(values, **slots):
    return ad.AnnData(np.array(values, dtype=np.float32), **slots)


def with_missing(seed=0, n_obs=40, n_vars=6):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_obs, n_vars)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = NAN
    return ad.AnnData(values)


def fingerprint(adata):
    """A hash of every slot, index and dtype."""
    slots = [adata.X, dict(adata.layers), dict(adata.obsm), dict(adata.uns), adata.obs, adata.var, adata.raw.X]
    return hashlib.sha256(pickle.dumps(slots)).hexdigest()


def full_object():
    adata = simulate(SimulateOptions(n_obs=60, n_vars=30, n_batch=2), seed=0).adata
    adata.layers["counts"] = adata.X.copy()
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(60, 2))
    adata.uns["note"] = {"a": np.arange(3)}
    adata.raw = adata
    return adata


@pytest.mark.parametrize("layer", [None, "counts"])
@pytest.mark.parametrize("flavor", ["pearson_residuals", "seurat"])
def test_the_object_given_is_not_changed(flavor, layer):
    adata = full_object()
    before = fingerprint(adata)
    options = PreprocessOptions(layer=layer, n_top_genes=5, hvg_flavor=flavor, batch_key="batch", min_genes_per_cell=5)
    result = preprocess(adata, options).adata
    result.X.data[:] = 7
    result.layers["counts"].data[:] = 7
    result.obs["batch"] = "x"
    normalise_log1p(adata, layer=layer).X.data[:] = 7
    assert fingerprint(adata) == before


def test_an_imputed_object_is_not_changed():
    adata = with_missing()
    before = adata.X.copy()
    preprocess(adata, PreprocessOptions(missing="mean")).adata.X[:] = 7
    np.testing.assert_array_equal(adata.X, before)


def test_all_slots_are_cut_to_what_is_kept():
    adata = full_object()
    kept = preprocess(adata, PreprocessOptions(n_top_genes=4)).adata
    original = adata[kept.obs_names, kept.var_names]
    assert kept.shape == (60, 4)
    assert (kept.X != original.X).nnz == 0
    assert (kept.layers["counts"] != original.layers["counts"]).nnz == 0
    np.testing.assert_array_equal(kept.obsm["X_pca"], original.obsm["X_pca"])
    assert not kept.is_view


@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix, sparse.csc_matrix], ids=["dense", "csr", "csc"])
def test_cells_and_features_below_their_minimum_are_removed(as_matrix):
    values = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [2, 1, 0, 5], [3, 0, 1, 0]], dtype=np.float32)
    options = PreprocessOptions(min_genes_per_cell=2, min_cells_per_gene=2)
    done = preprocess(ad.AnnData(as_matrix(values)), options)
    kept = done.adata.X.toarray() if sparse.issparse(done.adata.X) else done.adata.X
    assert kept.tolist() == [[1, 1, 1], [2, 1, 0], [3, 0, 1]]
    assert done.report["cells_removed"] == {"min_genes_per_cell": 1}
    assert done.report["features_removed"] == {"min_cells_per_gene": 1}
    assert done.report["features"] == ["0", "1", "2"]


def test_minima_keep_what_scanpy_keeps():
    adata = simulate(SimulateOptions(n_obs=100, n_vars=50, library_mean=100), seed=0).adata
    min_genes, min_cells = int(np.median(np.diff(adata.X.indptr))), 25
    done = preprocess(adata, PreprocessOptions(min_genes_per_cell=min_genes, min_cells_per_gene=min_cells))
    sc.pp.filter_cells(adata, min_genes=min_genes)
    sc.pp.filter_genes(adata, min_cells=min_cells)
    assert done.adata.obs_names.equals(adata.obs_names)
    assert done.adata.var_names.equals(adata.var_names)
    assert 0 < adata.n_obs < 100
    assert 0 < adata.n_vars < 50


def test_values_below_zero_count_as_measured():
    assert preprocess(table([[-1, 2], [-2, -3], [-1, 0.5]])).adata.shape == (3, 2)


def test_features_are_counted_in_the_cells_that_remain():
    # the first cell goes, and with it the third cell that has the last feature
    values = [[0, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0]]
    done = preprocess(table(values), PreprocessOptions(min_genes_per_cell=2, min_cells_per_gene=3))
    assert done.report["features"] == ["0", "1"]


@pytest.mark.parametrize("prefix", ["MT-", "mt-"])
def test_cells_above_the_mitochondrial_share_are_removed(prefix):
    names = pd.DataFrame(index=[f"{prefix}CO1", "ACTB", f"{prefix}ND1"])
    values = [[1, 8, 1], [1, 7, 2], [0, 4, 0], [0, 0, 0]]  # shares .2, .3, 0 and, of an empty cell, none
    options = PreprocessOptions(max_mitochondrial_fraction=0.25, **KEEP_ALL)
    done = preprocess(table(values, var=names), options)
    assert done.adata.obs_names.tolist() == ["0", "2", "3"]
    assert done.report["cells_removed"]["max_mitochondrial_fraction"] == 1


@pytest.mark.parametrize("flavor", ["pearson_residuals", "seurat"])
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_variable_genes_are_those_of_scanpy(flavor, batch_key):
    adata = simulate(SimulateOptions(n_obs=300, n_vars=100, n_batch=2), seed=0).adata
    options = PreprocessOptions(n_top_genes=20, hvg_flavor=flavor, batch_key=batch_key, **KEEP_ALL)
    done = preprocess(adata, options)
    if flavor == "pearson_residuals":
        sc.experimental.pp.highly_variable_genes(adata, n_top_genes=20, batch_key=batch_key)
    else:
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
        sc.pp.highly_variable_genes(adata, n_top_genes=20, batch_key=batch_key)
    assert done.report["features"] == adata.var_names[adata.var["highly_variable"]].to_list()
    assert done.report["features_removed"]["n_top_genes"] == 80


def test_planted_variable_genes_are_found():
    # the first ten features differ between two types, the others vary by sampling only
    rng = np.random.default_rng(0)
    rate = np.full((400, 60), 4.0)
    rate[:200, :10], rate[200:, :10] = 1.0, 7.0
    done = preprocess(ad.AnnData(rng.poisson(rate).astype(np.float32)), PreprocessOptions(n_top_genes=10))
    assert done.report["features"] == [str(k) for k in range(10)]


def test_more_genes_than_there_are_keeps_all():
    assert preprocess(full_object(), PreprocessOptions(n_top_genes=500)).adata.n_vars == 30


def test_cells_without_counts_do_not_disturb_the_choice():
    adata = simulate(SimulateOptions(n_obs=200, n_vars=50), seed=1).adata
    empty = ad.AnnData(sparse.csr_matrix((5, 50), dtype=np.float32), var=adata.var)
    options = PreprocessOptions(n_top_genes=10, **KEEP_ALL)
    joined = ad.concat([adata, empty], index_unique="-")
    assert preprocess(joined, options).report["features"] == preprocess(adata, options).report["features"]


@pytest.mark.parametrize(
    "changes", [{"n_top_genes": 8}, {"n_top_genes": 8, "hvg_flavor": "seurat"}, {"min_cells_per_gene": 60}], ids=str
)
def test_held_out_cells_do_not_choose_features(changes):
    adata = simulate(SimulateOptions(n_obs=100, n_vars=40, library_mean=100), seed=0).adata
    other = adata.copy()
    other.X = sparse.vstack([adata.X[:80], sparse.csr_matrix(100 * np.eye(20, 40, dtype=np.float32))], format="csr")
    fit_rows, options = np.arange(80), PreprocessOptions(**changes)
    one, two = (preprocess(data, options, fit_rows=fit_rows).report["features"] for data in (adata, other))
    assert one == two == preprocess(adata[:80], options).report["features"]
    assert len(one) < 40


@pytest.mark.parametrize("how", ["mean", "median", "knn"])
def test_held_out_cells_do_not_enter_imputation(how):
    adata, options = with_missing(), PreprocessOptions(missing=how)
    other = adata.copy()
    other.X[30:] = np.where(np.isnan(other.X[30:]), NAN, 1e3)
    one, two = (preprocess(data, options, fit_rows=np.arange(30)).adata.X for data in (adata, other))
    np.testing.assert_array_equal(one[:30], two[:30])


@pytest.mark.parametrize("how", ["mean", "median", "knn"])
def test_missing_values_are_those_of_the_reference(how):
    adata, fit = with_missing(), slice(0, 30)
    done = preprocess(adata, PreprocessOptions(missing=how), fit_rows=np.arange(30))
    if how == "knn":
        expected = KNNImputer().fit(adata.X[fit]).transform(adata.X)
    else:
        statistic = {"mean": np.nanmean, "median": np.nanmedian}[how](adata.X[fit].astype(np.float64), axis=0)
        expected = np.where(np.isnan(adata.X), statistic, adata.X)
    np.testing.assert_allclose(done.adata.X, expected, rtol=1e-6)
    assert done.adata.X.dtype == np.float32
    assert done.report["imputed_values"] == np.isnan(adata.X).sum()


def test_a_layer_is_imputed_where_it_lies():
    adata = table([[1, 2], [3, 4], [5, 6]])
    adata.layers["raw"] = np.array([[1, NAN], [3, 4], [5, 6]])
    done = preprocess(adata, PreprocessOptions(layer="raw", missing="mean"))
    assert done.adata.layers["raw"].tolist() == [[1, 5], [3, 4], [5, 6]]
    assert done.adata.X.tolist() == adata.X.tolist()


def test_features_that_no_training_cell_has_are_removed_before_imputation():
    done = preprocess(
        table([[1, NAN], [3, NAN], [NAN, 4]]), PreprocessOptions(missing="mean", **KEEP_ALL), fit_rows=[0, 1]
    )
    assert done.adata.X.tolist() == [[1], [3], [2]]
    assert done.report["features_removed"]["never_observed"] == 1


@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize(
    ("how", "shape", "removed"),
    [("drop_cells", (2, 3), "cells_removed"), ("drop_features", (4, 1), "features_removed")],
    ids=["cells", "features"],
)
def test_what_misses_values_is_dropped(how, shape, removed, as_matrix):
    values = np.array([[1, 2, 3], [NAN, 1, 1], [1, NAN, 2], [2, 2, 2]], dtype=np.float32)
    done = preprocess(ad.AnnData(as_matrix(values)), PreprocessOptions(missing=how, **KEEP_ALL))
    assert done.adata.shape == shape
    assert done.report[removed]["missing"] == 2


def test_report_is_json_and_counts_add_up():
    adata = full_object()
    options = PreprocessOptions(min_genes_per_cell=20, n_top_genes=7)
    done = preprocess(adata, options, fit_rows=np.arange(50))
    report = json.loads(json.dumps(done.report))
    assert adata.n_obs - sum(report["cells_removed"].values()) == done.adata.n_obs
    assert adata.n_vars - sum(report["features_removed"].values()) == done.adata.n_vars == len(report["features"])
    assert report["n_fit"] == done.adata.obs_names.isin(adata.obs_names[:50]).sum()
    assert PreprocessOptions(**report["options"]) == options


@pytest.mark.parametrize(
    ("adata", "options", "error", "says"),
    [
        (table([[1, NAN]]), {}, UnsuitableValues, "1 are missing, in 1 cells and 1 features"),
        (table([[1, np.inf]]), {}, UnsuitableValues, "some are infinite"),
        (ad.AnnData(sparse.csr_matrix([[1, NAN]])), {"missing": "mean"}, UnsuitableValues, "needs a dense array"),
        (table([[1, NAN]]), {"missing": "drop_cells"}, DataError, "step 'missing' removes the last of 1"),
        (table([[0, 0]]), {}, DataError, "step 'min_genes_per_cell' removes the last of 1"),
        (table([[1, 1]]), {}, DataError, "step 'min_cells_per_gene' removes the last of 2"),
        (table([[1, 1]]), {"max_mitochondrial_fraction": 0.1}, UnsuitableValues, "features named MT-"),
        (table([[1, 1]]), {"layer": "count"}, MissingKey, "layers has no 'count'"),
        (table([[1.5, 1]] * 4), {"n_top_genes": 1}, UnsuitableValues, "some values are not whole"),
        (table([[-1, 2]] * 4), {"n_top_genes": 1}, UnsuitableValues, "not negative"),
        (table([[1, 2]] * 4), {"n_top_genes": 1, "batch_key": "donor"}, MissingKey, "obs has no 'donor'"),
        (ad.AnnData(obs=pd.DataFrame(index=["a"])), {}, DataError, "must be in memory"),
    ],
    ids=[
        "missing",
        "infinite",
        "sparse",
        "no cell",
        "empty cell",
        "no feature",
        "no mitochondrial",
        "no layer",
        "fractions",
        "negative",
        "no column",
        "no X",
    ],
)
def test_what_cannot_be_preprocessed_is_refused(adata, options, error, says):
    with pytest.raises(error, match=says):
        preprocess(adata, PreprocessOptions(**options))


def test_missing_values_left_in_held_out_cells_are_refused():
    adata = table([[1, 2], [3, 4], [5, NAN]])
    with pytest.raises(UnsuitableValues, match="1 are missing there"):
        preprocess(adata, PreprocessOptions(missing="drop_features", **KEEP_ALL), fit_rows=np.array([0, 1]))


def test_a_batch_of_one_cell_is_refused_for_the_choice():
    adata = table([[1, 2]] * 4, obs=pd.DataFrame({"donor": ["a", "a", "a", "b"]}, index=list("wxyz")))
    with pytest.raises(DataError, match="needs two cells in each batch of 'donor'"):
        preprocess(adata, PreprocessOptions(n_top_genes=1, batch_key="donor"))


@pytest.mark.parametrize("rows", [[], [4], [-1], [True, False, True, True], [0.5]], ids=str)
def test_rows_that_are_none_are_refused(rows):
    with pytest.raises(DataError, match="fit_rows must be row numbers from 0 to 3"):
        preprocess(table([[1, 2]] * 4), fit_rows=np.array(rows))


def test_an_unknown_way_with_missing_values_is_refused():
    with pytest.raises(OptionError, match="missing of PreprocessOptions"):
        PreprocessOptions(missing="zero")


@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
def test_log_normalisation_is_that_of_scanpy(as_matrix):
    values = np.random.default_rng(0).poisson(3, size=(30, 20)).astype(np.float32)
    adata = ad.AnnData(as_matrix(values))
    ours = normalise_log1p(adata, 500)
    sc.pp.normalize_total(adata, target_sum=500)
    sc.pp.log1p(adata)
    dense = [m.toarray() if sparse.issparse(m) else m for m in (ours.X, adata.X)]
    np.testing.assert_allclose(*dense, rtol=1e-6)
    assert ours.uns == adata.uns
    assert ours.X.dtype == np.float32


def test_log_normalisation_keeps_empty_cells_at_zero_and_refuses_negative_values():
    assert normalise_log1p(table([[0, 0], [1, 1]]), 2).X.tolist() == [[0, 0], [np.log1p(np.float32(1))] * 2]
    with pytest.raises(UnsuitableValues, match="normalise_log1p needs values that are not negative"):
        normalise_log1p(table([[-1, 0]]))


def test_real_donors_with_few_cells_do_not_break_the_choice(real_data):
    adata = ad.read_h5ad(real_data("kang_ifnb_pbmc"))
    for flavor in ("pearson_residuals", "seurat"):
        done = preprocess(adata, PreprocessOptions(n_top_genes=300, batch_key="donor", hvg_flavor=flavor))
        assert done.adata.shape == (3_702, 300)
