"""Truncated SVD against SciPy's; what ALRA does with zeros against its formula."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import linalg

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import DataError, OptionError
from cellwright.models import build
from cellwright.models.svd import QUANTILE, RANKS
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells

N, N_VARS, RANK = 200, 40, 4


@pytest.fixture(scope="module")
def source():
    return open_data(simulate(SimulateOptions(n_obs=N, n_vars=N_VARS, n_latent=3), seed=0).adata)


@pytest.fixture(scope="module")
def logs(source):
    counts = source.read("X", np.arange(N)).toarray().astype(float)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def low(logs):
    u, s, v = linalg.svd(logs, full_matrices=False)
    return u[:, :RANK] * s[:RANK] @ v[:RANK]


def imputed_logs(name, source, **options):
    """log(1 + normalised) of what is expected."""
    model = build(name, source.schema, **options)
    fit(model, source, split=random_split(source.n_obs, validation=0), progress=False)
    expected = over_cells(lambda m: model.impute(m, torch.Generator()), source)
    return model, np.log1p(1e4 * expected / expected.sum(axis=1, keepdims=True))


def at_ten_thousand(logs):
    values = np.expm1(np.maximum(logs, 0))
    return np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))


def test_plain_is_the_matrix_of_that_rank_nearest_to_the_logarithms(source, low):
    _, found = imputed_logs("svd", source, rank=RANK, mean_share=0)
    np.testing.assert_allclose(found, at_ten_thousand(low), atol=0.02)


def test_alra_thresholds_rescales_and_keeps_what_was_measured(source, logs, low):
    _, found = imputed_logs("alra", source, rank=RANK)
    threshold = np.abs(np.quantile(low, QUANTILE, axis=0))
    above = low > threshold
    expected = np.zeros_like(low)
    for gene in range(N_VARS):
        there, measured = above[:, gene], logs[:, gene] > 0
        spread = logs[measured, gene].std() / low[there, gene].std()
        moved = (low[there, gene] - low[there, gene].mean()) * spread + logs[measured, gene].mean()
        expected[there, gene] = np.maximum(moved, 0)
    expected = np.where((expected == 0) & (logs > 0), logs, expected)
    # what lies at the threshold itself, one value in 200 of each gene, falls to either side
    assert (np.abs(found - at_ten_thousand(expected)) < 0.1).mean() > 0.99
    assert ((found == 0) == (expected == 0)).mean() > 0.99


def test_alra_has_more_zeros_than_the_plain_one_and_none_where_something_was_measured(source, logs):
    _, alra = imputed_logs("alra", source, rank=RANK)
    _, plain = imputed_logs("svd", source, rank=RANK, mean_share=0)
    assert (alra[logs > 0] > 0).all()
    assert (alra == 0).mean() > 2 * (plain == 0).mean()


def test_the_smallest_rank_is_chosen_where_cells_differ_by_noise_only_and_a_larger_one_where_there_is_more():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(60), 40)
    counts = [rng.poisson(2000 * share[kind]).astype(np.float32) for kind in (np.zeros(400, int), np.arange(400) % 40)]
    ranks = [imputed_logs("svd", open_data(AnnData(one)), mean_share=0)[0].vectors.right.shape[1] for one in counts]
    assert ranks[0] == min(RANKS)
    assert ranks[1] >= 30


def test_a_share_of_the_mean_is_mixed_in_and_chosen_where_much_is_silent(source):
    plain, mixed = (imputed_logs("svd", source, rank=RANK, mean_share=share)[1] for share in (0.0, 0.3))
    assert (plain == 0).any()
    assert (mixed > 0).all()
    model = build("svd", source.schema, rank=RANK)
    fit(model, source, split=random_split(N, validation=0), progress=False)
    assert float(model.mean_share) > 0


def test_a_share_of_the_mean_is_refused_where_zeros_are_preserved(source):
    with pytest.raises(OptionError, match="zeros='preserve'"):
        build("alra", source.schema, mean_share=0.3)


def test_fewer_cells_than_the_rank_are_refused():
    source = open_data(AnnData(np.random.default_rng(0).poisson(3, (4, 8)).astype(np.float32) + 1))
    model = build("svd", source.schema, rank=5, mean_share=0)
    with pytest.raises(DataError, match="4 cells and 8 features"):
        fit(model, source, split=random_split(4, validation=0), progress=False)
