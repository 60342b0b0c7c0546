import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cellwright.core.schema import Categories, Schema
from cellwright.models.parts import gaussian_process as module
from cellwright.models.parts.gaussian_process import (
    LEAST_VARIANCE,
    RESPONSES,
    SIMILARITIES,
    Lengths,
    chosen_lengths,
    expected_means,
    some_genes,
    trend,
)
from cellwright.models.parts.mean_shift import similarity
from cellwright.models.parts.responses import Means


def schema(n_labels, n_vars):
    return Schema(
        features={"rna": tuple(f"g{i}" for i in range(n_vars))},
        label=Categories(key="label", values=tuple(f"t{i}" for i in range(n_labels))),
        condition=Categories(key="condition", values=("control", "treated")),
        control="control",
    )


def planted(n_labels=5, n_vars=400, cells=50, seed=0, cell_variance=0.5):
    """Truth, and means measured on few cells; the last label has no treated cells."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(2, 0.5, n_vars)
    control = level + rng.normal(0, 0.4, (n_labels, n_vars))
    response = rng.normal(0, 0.6, n_vars) * (rng.random(n_vars) < 0.2)
    truth = np.stack([control, control + response + rng.normal(0, 0.1, (n_labels, n_vars)) * (response != 0)], axis=1)
    measured = truth + rng.normal(0, np.sqrt(cell_variance / cells), truth.shape)
    weight = np.full((n_labels, 2), float(cells))
    weight[-1, 1] = 0
    means = Means(measured, np.full(truth.shape, cell_variance), weight, 0, schema(n_labels, n_vars))
    return truth, means


def test_without_noise_the_measured_treated_mean_is_given_back():
    _, means = planted(cells=1_000_000_000)
    found = expected_means(means, 1, Lengths(5.0, 5.0))
    np.testing.assert_allclose(found[:-1], means.mean[:-1, 1], atol=1e-3)


def test_it_is_the_conditional_mean_of_the_joint_normal_distribution():
    """For one gene among others of its kind, against SciPy's multivariate normal with the same covariance."""
    _, means = planted(n_labels=3, n_vars=40)
    lengths = Lengths(2.0, 10.0)
    found = expected_means(means, 1, lengths)
    # the covariance, written down entry by entry: control of t0, t1, t2, treated of t0, t1; wanted: treated of t2
    n, noise = 50.0, 0.5
    correlation = np.stack([similarity(means, np.arange(3), label) for label in range(3)])
    labels, treated = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1])
    level = means.mean[:, 0].mean(axis=0)
    change = means.mean[:2, 1] - means.mean[:2, 0]
    u = means.mean[:, 0].var(axis=0, ddof=1) - noise / n
    v = np.square(change - change.mean(axis=0)).sum(axis=0) - 2 * noise / n
    b = np.square(change.mean(axis=0)) - 2 * noise / n / 2
    s_u, s_v, s_b = (0.5 * np.maximum(x, 0) + 0.5 * trend(level, np.maximum(x, 0)) + LEAST_VARIANCE for x in (u, v, b))
    for gene in (0, 17):
        ku = np.exp(-lengths.similarity * (1 - correlation[np.ix_(labels, labels)]))
        kv = np.exp(-lengths.response * (1 - correlation[np.ix_(labels, labels)]))
        both = np.outer(treated, treated)
        covariance = 4.0 + s_u[gene] * ku + both * (s_b[gene] + s_v[gene] * kv)
        covariance[np.arange(5), np.arange(5)] += noise / n
        known = np.array([*means.mean[:, 0, gene], *means.mean[:2, 1, gene]]) - level[gene]
        # the mean of the last given the others maximises the joint density
        joint = multivariate_normal(np.zeros(6), covariance)
        at = found[2, gene] - level[gene]
        density = [joint.logpdf([*known, at + step]) for step in (-1e-2, 0.0, 1e-2)]
        assert density[1] > max(density[0], density[2])
        assert density[0] == pytest.approx(density[2], abs=1e-6)


def test_a_noisy_mean_is_predicted_better_than_by_adding_the_mean_change():
    errors = []
    for seed in range(5):
        truth, means = planted(seed=seed)
        found = expected_means(means, 1, Lengths(5.0, 5.0))[-1]
        shifted = means.mean[-1, 0] + (means.mean[:-1, 1] - means.mean[:-1, 0]).mean(axis=0)
        errors.append([np.square(found - truth[-1, 1]).mean(), np.square(shifted - truth[-1, 1]).mean()])
    assert all(ours < theirs for ours, theirs in errors)


def test_a_prior_that_is_right_takes_all_and_one_that_is_wrong_is_corrected():
    truth, means = planted(cells=20)
    right = expected_means(means, 1, Lengths(5.0, 5.0), truth)
    assert np.square(right[-1] - truth[-1, 1]).mean() < np.square(means.mean[-1, 0] - truth[-1, 0]).mean()
    wrong = truth + np.random.default_rng(1).normal(0, 1, truth.shape[2])  # the same error for every label
    corrected = expected_means(means, 1, Lengths(0.01, 0.01), wrong)
    assert np.square(corrected[-1] - truth[-1, 1]).mean() < 0.1


def test_the_treated_cells_of_a_label_that_is_left_out_change_nothing():
    _, means = planted()
    changed = Means(means.mean.copy(), means.variance.copy(), means.weight, 0, means.schema)
    changed.mean[1, 1] += 100
    changed.variance[1, 1] *= 7
    first, second = (expected_means(each, 1, Lengths(5.0, 5.0), without=1) for each in (means, changed))
    np.testing.assert_array_equal(first, second)


def test_the_chosen_lengths_have_about_the_least_error_of_all():
    _, means = planted()

    def error(lengths):
        left_out = [expected_means(means, 1, lengths, without=label)[label] for label in range(4)]
        return np.square(np.array(left_out) - means.mean[:4, 1]).sum()

    best = min(error(Lengths(a, b)) for a in SIMILARITIES for b in RESPONSES)
    assert error(chosen_lengths(means, 1)) <= 1.01 * best


def test_labels_without_control_cells_have_no_expectation():
    _, means = planted()
    means.weight[0, 0] = 0
    found = expected_means(means, 1, Lengths(5.0, 5.0))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()


def test_a_trend_of_a_straight_line_is_the_line():
    x = np.random.default_rng(0).random(3000)
    inner = (x > 0.05) & (x < 0.95)
    np.testing.assert_allclose(trend(x, 2 * x + 1)[inner], (2 * x + 1)[inner], atol=0.02)


@pytest.mark.parametrize(("n_labels", "expected"), [(9, 1200), (10, 500)], ids=["8 with both sides", "9"])
@pytest.mark.parametrize("prior", [False, True], ids=["alone", "prior"])
def test_of_more_than_eight_labels_500_genes_choose_the_lengths(monkeypatch, n_labels, expected, prior):
    truth, means = planted(n_labels, n_vars=1200)
    seen, process = set(), module.expected_means

    def watched(means, *what, **more):
        seen.add(means.mean.shape[2])
        return process(means, *what, **more)[:, :1]

    monkeypatch.setattr(module, "expected_means", watched)
    monkeypatch.setattr(module, "SIMILARITIES", (5.0,))
    chosen_lengths(means, 1, truth if prior else None)
    assert seen == {expected}


def test_the_genes_that_choose_have_the_variances_of_all():
    truth, means = planted(12, n_vars=3000)
    some, prior = some_genes(means, truth)
    of_all, of_some = (np.sort(one.mean[:, 0].var(axis=0)) for one in (means, some))
    at = np.linspace(0, 2999, 500).round().astype(int)
    np.testing.assert_allclose(of_some, of_all[at], rtol=1e-12)
    known = {tuple(column) for column in means.mean.reshape(24, -1).T}
    assert all(tuple(column) in known for column in some.mean.reshape(24, -1).T)
    own = {tuple(m): tuple(t) for m, t in zip(means.mean.reshape(24, -1).T, truth.reshape(24, -1).T, strict=True)}
    for column, of_prior in zip(some.mean.reshape(24, -1).T, prior.reshape(24, -1).T, strict=True):
        assert own[tuple(column)] == tuple(of_prior)


def test_the_lengths_that_500_genes_choose_have_about_the_least_error_over_all():
    _, means = planted(10, n_vars=1500)

    def error(lengths):
        left_out = [expected_means(means, 1, lengths, without=label)[label] for label in range(9)]
        return np.square(np.array(left_out) - means.mean[:9, 1]).sum()

    best = min(error(Lengths(a, b)) for a in SIMILARITIES for b in RESPONSES)
    assert error(chosen_lengths(means, 1)) <= 1.02 * best
