import numpy as np
import pytest
import torch
from scipy import stats

from cellwright.models.parts.count_change import SHAPE, _gamma, _spread, _thinned, changed_counts


def cells(n_obs=150, n_vars=6, seed=0):
    """Counts with means .3 to 5, and the library of each cell."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.lognormal(0, 0.3, (n_obs, 1)) * np.linspace(0.3, 5, n_vars)) + 0.0
    counts[:, -1] += 1  # no cell is empty
    x = torch.from_numpy(counts).float()
    return x, x.sum(dim=1, keepdim=True)


def changed(change, seed=0):
    """Counts, log-normalised values before and after."""
    x, library = cells()
    after = changed_counts(x, library, torch.tensor(change).float(), torch.Generator().manual_seed(seed))
    return x.numpy(), torch.log1p(x * 1e4 / library).numpy(), after.numpy()


CHANGE = np.array([0.8, -0.5, 0.0, 0.4, -0.3, 0.2])


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_the_cells_changes_by_what_was_wanted(seed):
    _, before, after = changed(CHANGE, seed)
    # one molecule more or less in one of 150 cells moves a mean by log(10,000 / library + 1) / 150 at most
    np.testing.assert_allclose((after - before).mean(axis=0), CHANGE, atol=9 / 150)
    assert np.abs((after - before).mean(axis=0) - CHANGE).mean() < 9 / 300


def test_a_gene_that_is_to_stay_keeps_nearly_every_count():
    _, before, after = changed(np.zeros(6))
    assert np.mean(np.abs(after - before) < 1e-5) > 0.98  # a bisection ends near no change, not at it


def test_a_gene_that_is_to_vanish_loses_nearly_every_molecule():
    x, _, after = changed(np.array([0, 0, 0, 0, -20.0, 0]))
    assert (x[:, 4] > 0).mean() > 0.9
    assert (after[:, 4] == 0).mean() > 0.98  # a bisection ends near nothing, not at it


def test_what_comes_out_are_counts_and_cells_that_rise_only_gain():
    x, _, after = changed(CHANGE)
    counts = np.expm1(after.astype(np.float64)) * x.sum(axis=1, keepdims=True) / 1e4
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    assert (counts.round()[:, [0, 3, 5]] >= x[:, [0, 3, 5]]).all()
    assert (counts.round()[:, [1, 4]] <= x[:, [1, 4]]).all()


def test_molecules_are_added_with_the_variance_of_gamma_poisson_counts():
    """To cells of one library without molecules of the gene: variance = rate + rate^2 / SHAPE."""
    x, library = torch.zeros(4000, 1), torch.full((4000, 1), 1000.0)
    after = changed_counts(x, library, torch.tensor([2.0]), torch.Generator().manual_seed(0))
    counts = (torch.expm1(after.double()) / 10).round().numpy()
    rate = counts.mean()
    assert counts.var() == pytest.approx(rate + rate**2 / SHAPE, rel=0.1)


def test_the_same_generator_gives_the_same_cells_and_another_gives_others():
    first, again, other = (changed(CHANGE, seed)[2] for seed in (0, 0, 1))
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
