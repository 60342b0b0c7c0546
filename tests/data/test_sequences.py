"""Sequences made of cells equal those made by hand; what no cell measured is NaN."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.sequences import ranked, windows
from cellwright.errors import DataError, MissingKey, OptionError

RNG = np.random.default_rng(0)
VALUES = (RNG.normal(size=(30, 6)) * [1, 5, 2, 4, 3, 0.5]).astype(np.float32)
FORMS = pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])


def cells(form=np.asarray):
    obs = pd.DataFrame(
        {
            "pseudotime": np.linspace(0, 10, 30),
            "branch": pd.Categorical(np.where(np.arange(30) % 3 == 0, "b", "a"), categories=["a", "b", "unused"]),
            "treated": np.where(np.arange(30) % 3 == 0, "yes", "no"),
        },
        index=[f"c{i}" for i in range(30)],
    )
    return AnnData(form(VALUES), obs=obs, var=pd.DataFrame(index=list("abcdef")), obsm={"X_pca": VALUES[:, :2]})


@FORMS
def test_genes_come_by_falling_variance(form):
    out = ranked(cells(form), 4)
    by_variance = np.argsort(-VALUES.var(axis=0))[:4]
    assert list(out.var_names) == np.array(list("abcdef"))[by_variance].tolist()
    assert out.var["step"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(out.X, VALUES[:, by_variance])


@FORMS
def test_only_the_given_rows_choose(form):
    adata = cells(form)
    chosen = ranked(adata, 6, rows=np.arange(10)).var_names
    assert list(chosen) == list(adata.var_names[np.argsort(-VALUES[:10].var(axis=0))])


def test_ranked_cells_open_as_one_sequence_each():
    steps = open_data(ranked(cells(), 4), step_key="step").schema.steps
    assert steps.time_of == (0, 1, 2, 3)
    assert steps.sequences == ("",)


@pytest.mark.parametrize("n_steps", [0, 7])
def test_more_steps_than_genes_are_refused(n_steps):
    with pytest.raises(OptionError, match=f"n_steps must be 1 to 6.*it is {n_steps}"):
        ranked(cells(), n_steps)


@FORMS
def test_a_window_holds_the_mean_of_its_cells(form):
    adata = cells(form)
    out = windows(adata, time="pseudotime", by="branch", n_windows=4)
    assert out.obs_names.tolist() == ["a", "b"]
    for g, group in enumerate("ab"):
        for w in range(4):
            last = adata.obs["pseudotime"] <= 2.5 * (w + 1) if w == 3 else adata.obs["pseudotime"] < 2.5 * (w + 1)
            inside = ((adata.obs["branch"] == group) & (adata.obs["pseudotime"] >= 2.5 * w) & last).to_numpy()
            np.testing.assert_allclose(out.X[g, 6 * w : 6 * w + 6], VALUES[inside].mean(axis=0), rtol=1e-5)
            assert (out.layers["n_cells"][g, 6 * w : 6 * w + 6] == inside.sum()).all()
    assert out.var["step"].unique().tolist() == [1.25, 3.75, 6.25, 8.75]
    assert out.var["quantity"].tolist() == list("abcdef") * 4


def test_a_window_without_cells_is_not_measured():
    adata = cells()
    gap = adata[(adata.obs["branch"] == "a") | (adata.obs["pseudotime"] > 5)].copy()
    out = windows(gap, time="pseudotime", by="branch", n_windows=4, use_rep="X_pca")
    assert out.var["quantity"].unique().tolist() == ["X_pca_0", "X_pca_1"]
    np.testing.assert_array_equal(np.isnan(out.X), [[False] * 8, [True] * 4 + [False] * 4])


def test_a_window_with_too_few_cells_is_not_measured():
    out = windows(cells(), time="pseudotime", by="branch", n_windows=10, min_cells=2)
    np.testing.assert_array_equal(np.isnan(out.X), out.layers["n_cells"] < 2)


def test_cells_without_a_time_or_a_group_are_left_out():
    adata = cells()
    adata.obs.loc["c0", "pseudotime"] = np.nan
    adata.obs.loc["c1", "branch"] = np.nan
    out = windows(adata, time="pseudotime", by="branch", n_windows=1)
    without = windows(adata[2:].copy(), time="pseudotime", by="branch", n_windows=1)
    np.testing.assert_allclose(out.X, without.X)
    assert out.obs["n_cells"].tolist() == [19, 9]


def test_columns_that_are_constant_in_a_group_are_kept():
    out = windows(cells(), time="pseudotime", by="branch", n_windows=2)
    assert out.obs["treated"].tolist() == ["no", "yes"]
    assert "pseudotime" not in out.obs


def test_windows_open_as_sequences_of_their_quantities():
    source = open_data(windows(cells(), time="pseudotime", by="branch"), step_key="step", quantity_key="quantity")
    assert source.schema.steps.quantities == tuple("abcdef")
    assert len(set(source.schema.steps.time_of)) == 20


def test_what_is_not_there_or_no_time_is_refused():
    with pytest.raises(MissingKey, match="obs has no 'age'"):
        windows(cells(), time="age", by="branch")
    with pytest.raises(MissingKey, match="obsm has no 'X_vae'"):
        windows(cells(), time="pseudotime", by="branch", use_rep="X_vae")
    with pytest.raises(DataError, match=r"obs\['treated'\] \(time\) must hold numbers"):
        windows(cells(), time="treated", by="branch")
    adata = cells()
    adata.obs["pseudotime"] = 1.0
    with pytest.raises(DataError, match="two different times"):
        windows(adata, time="pseudotime", by="branch")


def test_a_window_without_cells_cannot_count_as_measured():
    with pytest.raises(OptionError, match="min_cells must be 1 or more; it is 0"):
        windows(cells(), time="pseudotime", by="branch", min_cells=0)
