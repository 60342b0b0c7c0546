import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse, stats

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.count_change import SHAPE, CountChange, _gamma, _spread, _thinned


def cells(n_obs=300, n_vars=6, seed=0):
    """Control cells of two labels, counts with means .3 to 5."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    library = rng.lognormal(0, 0.3, (n_obs, 1))
    counts = rng.poisson(library * np.linspace(0.3, 5, n_vars))
    obs = pd.DataFrame(
        {"label": np.where(np.arange(n_obs) % 2, "a", "b"), "condition": np.where(np.arange(n_obs) < 4, "t", "c")},
        index=[f"c{i}" for i in range(n_obs)],
    )
    adata = AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs)
    return open_data(adata, label_key="label", condition_key="condition", control="c")


def changed(source, change, seed=0):
    """Log-normalised values before and after, of the control cells of label a."""
    module = CountChange(source.schema)
    condition = source.schema.condition.values.index("t")
    label = source.schema.label.values.index("a")
    module.learn(source, np.arange(source.n_obs), {(label, condition): change}, np.random.default_rng(0))
    rows = np.flatnonzero((source.annotation.label == label) & (source.annotation.condition != condition))
    minibatch = next(iter(in_order(source, rows)))
    generator = torch.Generator().manual_seed(seed)
    after = module(minibatch, torch.full((len(rows),), condition), generator)
    x = minibatch.x.dense()
    before = torch.log1p(x * 1e4 / x.sum(dim=1, keepdim=True))
    return x.numpy(), before.numpy(), after.numpy()


def test_the_mean_changes_by_what_was_wanted():
    source = cells()
    change = np.array([0.8, -0.5, 0.0, 0.4, -0.3, 0.2])
    _, before, after = changed(source, change)
    error = before.std(axis=0) / np.sqrt(len(before))
    np.testing.assert_array_less(np.abs((after - before).mean(axis=0) - change), 2 * error)


def test_a_gene_that_is_to_stay_keeps_every_count():
    _, before, after = changed(cells(), np.zeros(6))
    assert np.mean(np.abs(after - before) < 1e-5) > 0.98  # a bisection ends near no change, not at it


def test_what_comes_out_are_counts_and_cells_that_rise_only_gain():
    x, _, after = changed(cells(), np.array([0.8, -0.5, 0.0, 0.4, -0.3, 0.2]))
    counts = np.expm1(after.astype(np.float64)) * x.sum(axis=1, keepdims=True) / 1e4
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    assert (counts.round()[:, [0, 3, 5]] >= x[:, [0, 3, 5]]).all()
    assert (counts.round()[:, [1, 4]] <= x[:, [1, 4]]).all()


def test_the_same_generator_gives_the_same_cells_and_another_gives_others():
    change = np.full(6, 0.5)
    first, again, other = (changed(cells(), change, seed)[2] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n", "kept"), [(1, 0.3), (7, 0.8), (30, 0.05), (30, 0.97), (50, 0.5), (50, 0.9), (200, 0.6)])
def test_thinning_is_binomial(n, kept):
    uniform = (torch.arange(4000) + 0.5) / 4000
    found = _thinned(torch.full((4000,), float(n)), torch.full((4000,), kept), uniform).numpy()
    wanted = stats.binom(n, kept)
    if n <= 50:
        # quantiles of evenly spread numbers: the distribution itself, to the width of a step
        shares = np.bincount(found.astype(int), minlength=n + 1) / 4000
        np.testing.assert_allclose(shares, wanted.pmf(np.arange(n + 1)), atol=1.01 / 4000 * 2)
    assert found.mean() == pytest.approx(wanted.mean(), abs=0.02 * n**0.5)
    assert found.var() == pytest.approx(wanted.var(), rel=0.05)


def test_thinning_that_keeps_all_or_nothing_does():
    x, uniform = torch.tensor([3.0, 60.0]), torch.tensor([0.99, 0.01])
    assert _thinned(x, torch.ones(2), uniform).tolist() == [3.0, 60.0]
    assert _thinned(x, torch.zeros(2), uniform).tolist() == [0.0, 0.0]


def test_spread_numbers_lie_one_in_each_part_of_every_column():
    found = _spread(torch.zeros(50, 3), torch.Generator().manual_seed(0))
    for column in found.T:
        assert sorted((column * 50).long().tolist()) == list(range(50))


def test_gamma_quantiles_are_scipys():
    uniform = torch.linspace(0.01, 0.99, 99)[:, None]
    wanted = stats.gamma.ppf(uniform.numpy(), SHAPE) / SHAPE
    np.testing.assert_allclose(_gamma(uniform).numpy(), wanted, atol=2e-2)
