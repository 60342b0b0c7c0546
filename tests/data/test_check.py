"""Every value is looked at before a model sees it."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cellwright.core.support import Support
from cellwright.data.check import check_cells, check_values, warn_of_logarithms
from cellwright.data.open import open_data
from cellwright.errors import UnsuitableValues

ROW, COLUMN = 4500, 3  # beyond the first block of rows


def source_with(value: float, form=sparse.csr_matrix):
    counts = np.zeros((5000, 5), dtype=np.float64)
    counts[:, 0] = 1
    counts[ROW, COLUMN] = value
    counts[ROW + 1, 1] = value
    adata = anndata.AnnData(
        sparse.csr_matrix(counts.shape),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(5000)]),
        var=pd.DataFrame(index=["CD3D", "CD4", "CD8A", "CD3E", "MS4A1"]),
        layers={"counts": form(counts)},
    )
    return open_data(adata, layer="counts")


VALUES = [np.nan, np.inf, -np.inf, -1.0, -0.5, 0.5, 3.7, 2.0, 1.0, 1e9]


def allowed(value: float, support: Support) -> bool:
    return {
        Support.missing: not np.isinf(value),
        Support.real: np.isfinite(value),
        Support.non_negative: np.isfinite(value) and value >= 0,
        Support.counts: np.isfinite(value) and value >= 0 and value == int(value),
        Support.binary: value in (0, 1),
    }[support]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("support", Support, ids=lambda support: support.name)
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_is_refused_if_and_only_if_it_lies_outside_the_support(value, support, form):
    source = source_with(value, form)
    if allowed(value, support):
        check_values(source, support, "the model")
    else:
        with pytest.raises(UnsuitableValues, match=r"\(cell 'cell4500', feature 'CD3E'\): the model needs"):
            check_values(source, support, "the model")


@pytest.mark.parametrize("check", [check_values, check_cells])
def test_a_source_that_was_found_right_is_looked_through_once(check, monkeypatch):
    source, looked = source_with(2.0), []
    read = type(source).read
    monkeypatch.setattr(type(source), "read", lambda *what: looked.append(1) or read(*what))
    check(source, Support.non_negative, "the model")
    n_looked = len(looked)
    check_values(source, Support.real, "a model that takes more")
    assert len(looked) == n_looked > 0
    check_values(source, Support.counts, "a model that takes less")
    with pytest.raises(UnsuitableValues):
        check_values(source, Support.binary, "a model that takes nearly nothing")


SENTENCES = {
    "infinite": (
        np.inf,
        Support.missing,
        "holds inf (cell 'cell4500', feature 'CD3E'): pca needs finite numbers, or NaN",
    ),
    "nan": (
        np.nan,
        Support.real,
        "holds nan (cell 'cell4500', feature 'CD3E'): pca needs finite numbers; fill such values",
    ),
    "negative": (-1.0, Support.non_negative, "pca needs numbers that are not negative; give a layer without"),
    "fraction": (
        3.7,
        Support.counts,
        "layers['counts'] holds 3.7 (cell 'cell4500', feature 'CD3E'): pca needs non-negative",
    ),
    "two": (2.0, Support.binary, "pca needs only 0 and 1; make a layer of (X > 0)"),
}


@pytest.mark.parametrize(("value", "support", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_each_fault_has_its_own_sentence_with_a_remedy(value, support, sentence):
    with pytest.raises(UnsuitableValues) as error:
        check_values(source_with(value), support, "pca")
    assert sentence in str(error.value)


def test_cells_without_counts_are_counted_and_named():
    counts = np.ones((6, 3))
    counts[[1, 2, 4, 5]] = 0
    adata = anndata.AnnData(sparse.csr_matrix(counts), obs=pd.DataFrame(index=list("abcdef")))
    with pytest.raises(UnsuitableValues, match=r"X has 4 cells without a count \(b, c, e, \.\.\.\): poisson needs"):
        check_cells(open_data(adata), Support.counts, "poisson")


@pytest.mark.parametrize("support", [Support.real, Support.non_negative, Support.binary])
def test_only_counts_need_a_total(support):
    check_cells(open_data(anndata.AnnData(sparse.csr_matrix((6, 3)))), support, "pca")


def test_cells_and_values_are_checked_in_one_pass(monkeypatch):
    source, read = source_with(1.0), []
    around = type(source).around
    monkeypatch.setattr(type(source), "around", lambda self, name, rows: read.extend(rows) or around(self, name, rows))
    check_cells(source, Support.counts, "poisson")
    assert sorted(read) == list(range(source.n_obs))


def test_cells_with_counts_pass():
    check_cells(source_with(1.0), Support.counts, "poisson")


@pytest.mark.parametrize(
    ("factor", "warned"), [(1.0, False), (0.37, True), (370.7, False)], ids=["counts", "logarithms", "rates"]
)
def test_values_that_may_be_logarithms_are_warned_of(factor, warned):
    counts = np.random.default_rng(0).poisson(2.0, (20, 5)).astype(np.float32)
    source = open_data(anndata.AnnData(counts * factor))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_logarithms(source, wanted_by="pca")
    assert ["may be logarithms already; pca takes their logarithm again" in str(w.message) for w in said] == [
        True
    ] * warned


@pytest.mark.parametrize(("value", "support"), [(-1.0, Support.non_negative), (0.5, Support.counts)])
def test_options_are_advised_only_to_a_model_that_has_them(value, support):
    """A model is known by its name here: it may take no logarithms already, or have no likelihood to choose."""
    with pytest.raises(UnsuitableValues, match=r"or choose options .* where there are such \("):
        check_values(source_with(value), support, "pca")
