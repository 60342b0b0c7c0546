"""Simulations: the values follow the truth that is handed out with them, and the truth follows the options."""

import numpy as np
import pytest
from scipy import sparse, stats

from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import OptionError


def counts(simulation):
    return simulation.adata.X.toarray().astype(np.float64)


@pytest.mark.parametrize(
    ("n_obs", "shares", "sizes"),
    [
        (10, (0.5, 0.3, 0.2), [5, 3, 2]),
        (10, (1, 1, 1), [4, 3, 3]),
        (1000, (0.9, 0.0999, 0.0001), [900, 99, 1]),
        (4, (1000, 1, 1, 1), [1, 1, 1, 1]),
        (7, (2.0,), [7]),
    ],
    ids=["exact", "remainder", "at least one", "as many as cells", "one label"],
)
def test_labels_have_the_sizes_of_their_shares(n_obs, shares, sizes):
    simulation = simulate(SimulateOptions(n_obs=n_obs, n_vars=5, label_shares=shares), seed=0)
    assert np.bincount(simulation.label).tolist() == sizes
    assert simulation.adata.obs["label"].cat.codes.tolist() == simulation.label.tolist()


def test_counts_are_float32_csr_of_whole_numbers():
    values = simulate(SimulateOptions(n_obs=50, n_vars=20), seed=0).adata.X
    assert sparse.isspmatrix_csr(values)
    assert values.dtype == np.float32
    assert np.all(values.data == np.rint(values.data))
    assert values.data.min() >= 1


@pytest.mark.parametrize("zero_inflation", [0.0, 0.4])
def test_counts_have_mean_and_variance_of_the_negative_binomial(zero_inflation):
    # without spread between cells every cell has the same mean, so a column is a sample of one distribution
    options = SimulateOptions(n_obs=20_000, n_vars=20, signal=0, library_sd=0, zero_inflation=zero_inflation)
    simulation = simulate(options, seed=0)
    mean, keep = simulation.mean(slice(0, 1))[0], 1 - zero_inflation
    second = mean + mean**2 / simulation.theta + mean**2  # E[x^2] of the negative binomial
    values = counts(simulation)
    for power, expected in ((1, keep * mean), (2, keep * second)):
        moment = values**power
        z = (moment.mean(axis=0) - expected) / (moment.std(axis=0) / np.sqrt(options.n_obs))
        # 20 standard scores, bounded so that the largest passes with probability .9999
        assert np.abs(z).max() < stats.norm.isf(1e-4 / 2 / options.n_vars)


def test_probability_of_zero_is_that_of_the_negative_binomial():
    options = SimulateOptions(n_obs=20_000, n_vars=20, signal=0, library_sd=0, library_mean=50, theta=0.7)
    simulation = simulate(options, seed=1)
    theta, mean = simulation.theta, simulation.mean(slice(0, 1))[0]
    expected = stats.nbinom.pmf(0, theta, theta / (theta + mean))
    z = ((counts(simulation) == 0).mean(axis=0) - expected) / np.sqrt(expected * (1 - expected) / options.n_obs)
    assert np.abs(z).max() < stats.norm.isf(1e-4 / 2 / options.n_vars)


def test_means_of_a_cell_sum_to_its_library():
    simulation = simulate(SimulateOptions(n_batch=2, treated_share=0.5), seed=0)
    np.testing.assert_allclose(simulation.mean().sum(axis=1), simulation.library)


def test_libraries_are_log_normal_with_the_mean_asked_for():
    options = SimulateOptions(n_obs=20_000, n_vars=2, library_mean=300, library_sd=0.5)
    library = simulate(options, seed=0).library
    assert abs(library.mean() - 300) < 4 * library.std() / np.sqrt(options.n_obs)
    assert stats.kstest(np.log(library), stats.norm(np.log(300) - 0.125, 0.5).cdf).pvalue > 1e-4


def test_log_means_are_linear_in_the_latent():
    simulation = simulate(SimulateOptions(n_obs=40, n_vars=30), seed=2)
    log_mean = np.log(simulation.mean())
    difference = log_mean - log_mean[:1]  # features differ by latent and loadings; cells by a constant
    expected = (simulation.latent - simulation.latent[:1]) @ simulation.loadings.T
    difference, expected = (m - m.mean(axis=1, keepdims=True) for m in (difference, expected))
    np.testing.assert_allclose(difference, expected, atol=1e-10)


@pytest.mark.parametrize("n_latent", [1, 20])
def test_signal_is_the_spread_that_the_latent_makes(n_latent):
    simulation = simulate(SimulateOptions(n_vars=5_000, n_latent=n_latent, signal=0.7), seed=0)
    spread = (simulation.latent @ simulation.loadings.T).var(axis=0)
    # the variance of a feature is a quadratic form in normal loadings; its mean over features is signal^2
    assert abs(spread.mean() - 0.7**2) < 4 * spread.std() / np.sqrt(5_000)


def test_latent_is_standard_normal_around_centres_that_scale_with_label_distance():
    near, mid, far = (
        simulate(SimulateOptions(n_obs=5_000, n_vars=2, n_latent=2, label_distance=distance), seed=0)
        for distance in (0.0, 1.0, 3.0)
    )
    assert stats.kstest(near.latent.ravel(), stats.norm.cdf).pvalue > 1e-4
    centres = mid.latent - near.latent
    np.testing.assert_allclose(far.latent - near.latent, 3 * centres, atol=1e-12)
    assert len(np.unique(centres.round(9), axis=0)) == 3
    for label in range(3):
        assert np.ptp(centres[near.label == label], axis=0).max() < 1e-12


def test_batches_are_of_equal_size():
    simulation = simulate(SimulateOptions(n_obs=100, n_vars=2, n_batch=3), seed=0)
    assert sorted(np.bincount(simulation.batch)) == [33, 33, 34]
    assert simulation.adata.obs["batch"].cat.codes.tolist() == simulation.batch.tolist()


def test_batch_shift_is_the_log_ratio_of_batch_means():
    options = SimulateOptions(n_obs=20_000, n_vars=50, n_batch=2, signal=0, library_sd=0, batch_strength=0.5)
    simulation = simulate(options, seed=0)
    values = counts(simulation)
    first, second = (values[simulation.batch == k] for k in (0, 1))
    ratio = np.log(second.mean(axis=0) / first.mean(axis=0))
    error = np.sqrt(sum((v.std(axis=0) / v.mean(axis=0)) ** 2 / len(v) for v in (first, second)))
    shift = simulation.batch_shift[1] - simulation.batch_shift[0]
    constant = np.log(simulation.mean(simulation.batch == 1)[0] / simulation.mean(simulation.batch == 0)[0]) - shift
    assert np.ptp(constant) < 1e-10  # the softmax moves all features of a batch alike
    assert np.abs((ratio - shift - constant[0]) / error).max() < stats.norm.isf(1e-4 / 2 / options.n_vars)


def test_treated_cells_are_as_many_as_asked_and_respond_by_their_label():
    options = SimulateOptions(n_obs=500, n_vars=200, treated_share=0.3, signal=0, library_sd=0)
    simulation = simulate(options, seed=0)
    assert simulation.treated.sum() == 150
    assert (simulation.adata.obs["condition"] == "treated").tolist() == simulation.treated.tolist()
    log_mean = np.log(simulation.mean())
    for label in range(3):
        cells = simulation.label == label
        response = log_mean[cells & simulation.treated][0] - log_mean[cells & ~simulation.treated][0]
        assert np.ptp(response - simulation.treated_shift[label]) < 1e-10


@pytest.mark.parametrize(("spread", "distinct"), [(0.0, 1), (0.5, 3)], ids=["shared", "own"])
def test_spread_makes_the_response_differ_between_labels(spread, distinct):
    simulation = simulate(SimulateOptions(n_vars=200, treated_share=0.5, treated_spread=spread), seed=0)
    assert len(np.unique(simulation.treated_shift, axis=0)) == distinct
    responding = (simulation.treated_shift != 0).any(axis=0)
    assert stats.binomtest(int(responding.sum()), 200, 0.2).pvalue > 1e-4


def test_trunk_and_branches_divide_pseudotime():
    simulation = simulate(SimulateOptions(n_branches=2), seed=0)
    assert simulation.adata.obs["label"].cat.categories.tolist() == ["trunk", "branch_1", "branch_2"]
    on_trunk = simulation.pseudotime[simulation.branch == 0]
    on_branches = simulation.pseudotime[simulation.branch > 0]
    assert 0 <= on_trunk.min() < on_trunk.max() < 0.4 <= on_branches.min() < on_branches.max() <= 1


def test_latent_follows_the_planted_path():
    options = SimulateOptions(n_obs=3_000, n_vars=2, n_branches=2, label_distance=2.0)
    simulation = simulate(options, seed=0)
    directions = []
    for k in range(3):
        cells = simulation.branch == k
        # each segment is straight: its slope is the direction, 5 * label_distance long
        design = np.column_stack([simulation.pseudotime[cells], np.ones(cells.sum())])
        directions.append(np.linalg.lstsq(design, simulation.latent[cells], rcond=None)[0][0])
    gram = np.array(directions) @ np.array(directions).T
    # a slope's standard error is below 1 / (sd of pseudotime * sqrt(cells)), .12 * sqrt(600)
    error = 1 / (0.4 / np.sqrt(12) * np.sqrt(600))
    np.testing.assert_allclose(gram, 100 * np.eye(3), atol=5 * 2 * 10 * error)


def test_time_is_the_nearest_collection_time():
    simulation = simulate(SimulateOptions(n_branches=1, label_shares=(1, 1), n_times=5), seed=0)
    time = simulation.adata.obs["time"].to_numpy()
    assert sorted(set(time)) == [0, 0.25, 0.5, 0.75, 1]
    assert np.abs(time - simulation.pseudotime).max() <= 0.125


def test_only_what_is_simulated_is_in_obs():
    assert list(simulate(SimulateOptions(n_obs=9, n_vars=3), seed=0).adata.obs) == ["label"]
    full = SimulateOptions(n_obs=9, n_vars=3, n_batch=2, treated_share=0.5, n_branches=2)
    assert list(simulate(full, seed=0).adata.obs) == ["label", "batch", "condition", "time"]


def test_same_seed_same_cells_and_another_seed_others():
    options = SimulateOptions(n_obs=1_100, n_vars=10, n_batch=2, treated_share=0.5, zero_inflation=0.1)
    first, again, other = (simulate(options, seed=seed).adata for seed in (3, 3, 4))
    assert (first.X != again.X).nnz == 0
    assert first.obs.equals(again.obs)
    assert (first.X != other.X).nnz > 0


def test_the_global_generator_is_not_touched():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(SimulateOptions(n_obs=20, n_vars=5), seed=0)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    "change", [{"n_batch": 3}, {"treated_share": 0.5}, {"theta": 50}, {"library_mean": 10}], ids=str
)
def test_one_part_of_the_simulation_does_not_move_the_others(change):
    plain, changed = (simulate(SimulateOptions(n_obs=60, n_vars=9, **kind), seed=0) for kind in ({}, change))
    assert np.array_equal(plain.latent, changed.latent)
    assert np.array_equal(plain.loadings, changed.loadings)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_branches": 5}, "n_branches of SimulateOptions must be below n_latent"),
        ({"n_branches": 3}, "must be 4 numbers, the trunk's and one per branch"),
        ({"label_shares": (1, 0)}, "must be positive numbers"),
        ({"n_obs": 2}, "at most as many as there are cells"),
        ({"n_gene": 2}, "has no option 'n_gene'"),
        ({"treated_share": 1.0}, "treated_share of SimulateOptions"),
    ],
    ids=["directions", "shares of branches", "zero share", "labels without cells", "unknown", "all treated"],
)
def test_what_cannot_be_simulated_is_refused(wrong, says):
    with pytest.raises(OptionError, match=says):
        SimulateOptions(**wrong)
