"""Thinning: what is kept and what is hidden are the whole, independent of one another, and dealt fairly."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse, stats

from cellwright.data.open import open_data
from cellwright.data.thinning import in_memory, permuted, thinned, without_entries
from cellwright.errors import OptionError


@pytest.fixture(scope="module")
def counts():
    return np.random.default_rng(0).poisson(np.linspace(0.1, 6, 30), (400, 30)).astype(np.float32)


@pytest.fixture(scope="module")
def source(counts):
    return open_data(AnnData(sparse.csr_matrix(counts), obs={"label": np.repeat(["a", "b"], 200)}), label_key="label")


def dense(source):
    return sparse.csr_matrix(source.read("X", np.arange(source.n_obs))).toarray()


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("divide", [thinned, without_entries])
def test_kept_and_hidden_add_up_to_the_counts_of_the_rows(source, counts, divide):
    rows = np.arange(50, 350, 3)
    parts = divide(source, rows, 0.8, rng())
    assert np.array_equal(dense(parts.kept) + parts.hidden.toarray(), counts[rows])
    assert parts.kept.annotation.label.tolist() == source.annotation.label[rows].tolist()
    assert parts.kept.annotation.obs.index.tolist() == source.annotation.obs.index[rows].tolist()


def test_the_share_of_molecules_that_is_kept_is_binomial(source, counts):
    parts = thinned(source, np.arange(400), 0.9, rng())
    kept, total = dense(parts.kept).sum(axis=0), counts.sum(axis=0)
    p = [stats.binomtest(int(k), int(n), 0.9).pvalue for k, n in zip(kept, total, strict=True)]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_of_poisson_counts_kept_and_hidden_know_nothing_of_one_another(source):
    parts = thinned(source, np.arange(400), 0.5, rng())
    kept, hidden = dense(parts.kept), parts.hidden.toarray()
    r = [np.corrcoef(kept[:, j], hidden[:, j])[0, 1] for j in range(30)]
    assert abs(np.mean(r)) < 4 / np.sqrt(400 * 30)  # four standard errors of a mean of 30 correlations of nothing


def test_hidden_entries_are_the_same_share_of_every_feature(source, counts):
    parts = without_entries(source, np.arange(400), 0.9, rng())
    n_stored, n_hidden = (counts > 0).sum(axis=0), (parts.hidden.toarray() > 0).sum(axis=0)
    assert (abs(n_hidden - 0.1 * n_stored) <= 0.5 + 1e-9).all()
    # an entry is hidden whole
    assert not ((dense(parts.kept) > 0) & (parts.hidden.toarray() > 0)).any()


def test_the_last_entry_of_a_feature_stays():
    lone = np.zeros((5, 2), dtype=np.float32)
    lone[3, 0], lone[:, 1] = 7, 1
    parts = without_entries(open_data(AnnData(lone)), np.arange(5), 0.01, rng())
    assert dense(parts.kept)[3, 0] == 7
    assert (dense(parts.kept)[:, 1] > 0).sum() == 1


@pytest.mark.parametrize("divide", [thinned, without_entries])
@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_leaves_a_side_empty_is_refused(source, divide, share):
    with pytest.raises(OptionError, match="must be between 0 and 1"):
        divide(source, np.arange(10), share, rng())


def test_permuted_genes_know_nothing_of_one_another_but_keep_their_means():
    random = rng(1)
    factor = random.gamma(2, 0.5, (600, 1))  # what all genes share, beside the library
    rates = np.where(np.arange(20) < 10, factor, 2 - np.minimum(factor, 2)) * np.linspace(0.5, 5, 20)
    cells = open_data(AnnData(random.poisson(rates).astype(np.float32)))
    before = dense(cells)
    after = dense(permuted(cells, np.arange(600), rng()))

    def mean_correlation(values):
        logs = np.log1p(1e4 * values / np.maximum(values.sum(axis=1, keepdims=True), 1))
        r = np.corrcoef(logs.T)
        return np.abs(r[np.triu_indices(20, 1)]).mean()

    assert mean_correlation(before) > 0.15
    # of nothing it is sqrt(2 / (pi n)) = .033; shares of a total add about 1 / 20
    assert mean_correlation(after) < 0.08
    # each cell's share goes to a cell of the average library
    library = before.sum(axis=1, keepdims=True)
    expected = (before / library).sum(axis=0) * library.mean()
    assert (np.abs(after.sum(axis=0) - expected) < 6 * np.sqrt(expected)).all()
    assert ((after == 0).mean(axis=0) >= (before == 0).mean(axis=0)).all()


def test_cells_in_memory_keep_their_annotation_and_take_other_features(source):
    rows, values = np.array([3, 7, 390]), sparse.csr_matrix(np.eye(3, 2, dtype=np.float32))
    cells = in_memory(source, rows, values, ("x", "y"))
    assert cells.schema.var_names == ("x", "y")
    assert cells.schema.label == source.schema.label
    assert cells.annotation.label.tolist() == source.annotation.label[rows].tolist()
    assert np.array_equal(dense(cells), values.toarray())
