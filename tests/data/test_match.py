"""New cells on a known schema: features by name."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cellwright.core.schema import Schema
from cellwright.data.contents import Table
from cellwright.data.match import matched, tables_in_schema
from cellwright.data.memory import MemoryStore
from cellwright.errors import SchemaMismatch

DENSE = np.random.default_rng(0).poisson(0.8, (30, 10)).astype(np.float32)
NAMES = tuple(f"g{i}" for i in range(10))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@given(wanted=st.lists(st.sampled_from([*NAMES, "new1", "new2"]), min_size=1, unique=True))
def test_columns_are_those_of_a_data_frame_reindexed_by_name(form, wanted):
    if not set(wanted) & set(NAMES):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        store, lacking = matched(MemoryStore(form(DENSE), "X"), NAMES, tuple(wanted))
    rows = np.array([0, 3, 29])
    block = store.read(rows)
    expected = pd.DataFrame(DENSE, columns=NAMES).reindex(columns=wanted, fill_value=0).to_numpy()[rows]
    assert isinstance(block, np.ndarray) == (form is np.asarray)
    np.testing.assert_array_equal(sparse.csr_matrix(block).toarray(), expected)
    assert lacking == tuple(name for name in wanted if name not in NAMES)


def test_sparse_rows_keep_their_columns_sorted():
    store, _ = matched(MemoryStore(sparse.csr_matrix(DENSE), "X"), NAMES, NAMES[::-1])
    block = store.read(np.arange(30))
    assert all(
        (np.diff(block.indices[a:b]) > 0).all() for a, b in zip(block.indptr[:-1], block.indptr[1:], strict=True)
    )


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
def test_what_was_not_measured_is_no_zero(form):
    """A step that new sequences lack is NaN; a zero that was measured stays a zero."""
    store, lacking = matched(MemoryStore(form(DENSE), "X"), NAMES, ("g3", "new1", *NAMES[4:]), fill=np.nan)
    expected = np.insert(DENSE[:, 3:], 1, np.nan, axis=1)
    np.testing.assert_array_equal(store.read(np.arange(30)), expected)
    assert lacking == ("new1",)


def test_the_warning_says_that_missing_steps_count_as_not_measured():
    with pytest.warns(UserWarning, match=r"lacks 1 of the model's 2 features \(new1\); they count as not measured"):
        matched(MemoryStore(DENSE, "X"), NAMES, ("g3", "new1"), fill=np.nan)


def test_the_same_features_need_no_matching():
    store = MemoryStore(DENSE, "X")
    assert matched(store, NAMES, NAMES) == (store, ())


@pytest.mark.parametrize(("n_missing", "warns"), [(2, False), (3, True)], ids=["20 percent", "30 percent"])
def test_more_than_a_fifth_missing_is_warned_of_with_count_and_names(n_missing, warns):
    wanted = NAMES[n_missing:] + tuple(f"new{i}" for i in range(n_missing))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        matched(MemoryStore(DENSE, "X"), NAMES, wanted)
    assert len(caught) == warns
    if warns:
        assert "lacks 3 of the model's 10 features (new0, new1, new2)" in str(caught[0].message)


ENSEMBL = tuple(f"ENSG{i:011d}" for i in range(10))
HINTS = {
    "ids wanted": (ENSEMBL, NAMES, "model has Ensembl ids and the data have symbols"),
    "versioned ids given": (NAMES, tuple(f"{n}.3" for n in ENSEMBL), "data have Ensembl ids and the model has symbols"),
    "mouse ids wanted": (tuple(n.replace("ENSG", "ENSMUSG") for n in ENSEMBL), NAMES, "model has Ensembl ids"),
    "neither": (tuple(n.upper() for n in NAMES), NAMES, r"Set adata\.var_names to the names that the model knows"),
}


@pytest.mark.parametrize(("wanted", "given_names", "hint"), HINTS.values(), ids=HINTS)
def test_no_feature_in_common_is_refused_with_a_hint(wanted, given_names, hint):
    with pytest.raises(SchemaMismatch, match=hint):
        matched(MemoryStore(DENSE, "X"), given_names, wanted)


def tables(*names: str) -> dict[str, Table]:
    obs = pd.DataFrame(index=[f"c{i}" for i in range(30)])
    return {name: Table(obs, pd.DataFrame(index=NAMES), DENSE, "X") for name in names}


def schema(*names: str) -> Schema:
    return Schema(features=dict.fromkeys(names, NAMES))


def test_a_single_modality_matches_whatever_it_is_called():
    assert list(tables_in_schema(tables("X"), schema("rna"))) == ["rna"]


def test_modalities_come_in_the_order_of_the_schema_and_others_are_left_out():
    assert list(tables_in_schema(tables("atac", "protein", "rna"), schema("rna", "protein"))) == ["rna", "protein"]


def test_no_modality_in_common_is_refused():
    with pytest.raises(SchemaMismatch, match=r"knows the modalities rna, protein; the data have X"):
        tables_in_schema(tables("X"), schema("rna", "protein"))
