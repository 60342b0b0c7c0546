"""Metrics of imputations against references and planted cases; what they refuse."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_poisson_deviance

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.entry_pearson_cell import entry_pearson_cell
from cellwright.metrics.entry_pearson_gene import entry_pearson_gene
from cellwright.metrics.entry_rmse import entry_rmse
from cellwright.metrics.false_correlation import false_correlation
from cellwright.metrics.false_markers import false_markers
from cellwright.metrics.log_mse import log_mse
from cellwright.metrics.poisson_deviance import SMALLEST, poisson_deviance
from cellwright.metrics.protein_spearman import protein_spearman
from cellwright.metrics.zeros_kept import zeros_kept, zeros_kept_by_label


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def counts(rng):
    rates = rng.gamma(1, 1, (60, 12))
    return rng.poisson(rates).astype(float), rates


def test_deviance_is_scikit_learns_per_molecule(counts):
    hidden, rates = counts
    reference = mean_poisson_deviance(hidden.ravel(), rates.ravel()) * hidden.size / hidden.sum()
    assert poisson_deviance(hidden, rates) == pytest.approx(reference)


def test_deviance_is_least_at_the_true_rates(rng):
    rates = rng.gamma(2, 2, (400, 10))
    hidden = rng.poisson(rates).astype(float)
    at_truth = poisson_deviance(hidden, rates)
    assert all(poisson_deviance(hidden, factor * rates) > at_truth for factor in (0.8, 1.2))
    assert poisson_deviance(hidden, rates.mean(axis=0) * np.ones_like(rates)) > at_truth


def test_a_molecule_where_none_was_expected_costs_what_the_smallest_expectation_does():
    hidden = np.array([[1.0, 1.0]])
    assert poisson_deviance(hidden, np.array([[0.0, 1.0]])) == pytest.approx(-np.log(SMALLEST) + SMALLEST - 1)


@pytest.mark.parametrize("metric", [poisson_deviance, log_mse])
@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_what_is_no_count_is_refused(metric, bad):
    with pytest.raises(UnsuitableValues, match="must be finite and not negative"):
        metric(np.array([[1.0, bad]]), np.ones((1, 2)))
    with pytest.raises(UnsuitableValues, match="must be finite and not negative"):
        metric(np.ones((1, 2)), np.array([[1.0, bad]]))


@pytest.mark.parametrize("metric", [poisson_deviance, log_mse])
def test_nothing_hidden_and_other_shapes_are_refused(metric):
    with pytest.raises(DataError, match="needs a hidden molecule"):
        metric(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(DataError, match="same cells and features"):
        metric(np.ones((2, 3)), np.ones((3, 2)))


def test_log_mse_is_the_squared_error_of_logarithms_of_rows_of_ten_thousand(counts):
    hidden, rates = counts
    hidden[:, 0] += 1  # no empty row
    logs = [np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)) for x in (hidden, rates)]
    assert log_mse(hidden, rates) == pytest.approx(np.mean((logs[0] - logs[1]) ** 2))


def test_the_error_of_logarithms_favours_who_predicts_too_little(rng):
    """Of few molecules it is least far from the truth: the reason why deviance comes first."""
    rates = rng.gamma(2, 0.05, (2000, 40))
    hidden = rng.poisson(rates).astype(float)
    squeezed = rates**2  # rows are normalised, so what is small becomes smaller
    assert log_mse(hidden, squeezed) < log_mse(hidden, rates)
    assert poisson_deviance(hidden, squeezed * rates.sum() / squeezed.sum()) > poisson_deviance(hidden, rates)


@pytest.fixture
def entries(rng):
    true = rng.normal(size=(40, 30))
    asked = np.where(rng.random(true.shape) < 0.5, true, np.nan)
    return asked, true + rng.normal(size=true.shape)


def test_entries_that_were_not_asked_for_say_nothing(entries):
    asked, expected = entries
    other = np.where(np.isnan(asked), 99.0, expected)
    for metric in (entry_rmse, entry_pearson_cell, entry_pearson_gene):
        assert metric(asked, other) == metric(asked, expected)


def test_entry_metrics_are_their_references_over_what_was_asked(entries):
    asked, expected = entries
    there = ~np.isnan(asked)
    assert entry_rmse(asked, expected) == pytest.approx(np.sqrt(np.mean((asked - expected)[there] ** 2)))
    for metric, a, e in ((entry_pearson_cell, asked, expected), (entry_pearson_gene, asked.T, expected.T)):
        rows = [stats.pearsonr(x[~np.isnan(x)], y[~np.isnan(x)]).statistic for x, y in zip(a, e, strict=True)]
        assert metric(asked, expected) == pytest.approx(np.mean(rows))


def test_a_gene_of_which_the_same_is_expected_everywhere_counts_as_nothing_known(entries):
    asked, _ = entries
    assert entry_pearson_gene(asked, np.ones_like(asked)) == 0


def test_protein_correlation_is_scipys_mean_over_pairs(rng):
    protein = rng.normal(size=(50, 3))
    rna = protein + rng.normal(size=protein.shape)
    each = [stats.spearmanr(rna[:, j], protein[:, j]).statistic for j in range(3)]
    assert protein_spearman(rna, protein) == pytest.approx(np.mean(each))
    rna[:, 0] = 4
    assert protein_spearman(rna, protein) == pytest.approx((0 + each[1] + each[2]) / 3)


def test_false_correlation_is_the_rise_of_the_mean_over_pairs(rng):
    before = rng.normal(size=(200, 6))
    after = before + 2 * rng.normal(size=(200, 1))

    def mean(values):
        return np.abs(np.corrcoef(values.T)[np.triu_indices(6, 1)]).mean()

    assert false_correlation(before, after) == pytest.approx(mean(after) - mean(before))
    assert false_correlation(before, before) == 0
    assert false_correlation(before, 5 + np.zeros_like(before)) == pytest.approx(-mean(before))


def test_features_that_do_not_vary_before_are_left_out(rng):
    before, after = rng.normal(size=(50, 5)), rng.normal(size=(50, 5))
    padded = np.column_stack([before, np.ones(50)]), np.column_stack([after, after[:, 0]])
    assert false_correlation(*padded) == pytest.approx(false_correlation(before, after))


def test_halves_of_one_sample_have_no_markers_and_a_shift_is_seen(rng):
    first, second = rng.normal(size=(80, 200)), rng.normal(size=(80, 200))
    assert false_markers(first, second) <= 0.02
    shifted = second + 3 * (np.arange(200) < 50)
    assert false_markers(first, shifted) == pytest.approx(0.25, abs=0.02)


@pytest.fixture
def silent(rng):
    """Two labels; gene 0 is a marker of the first and silent in the second, gene 1 the other way, gene 2 in both."""
    labels = np.repeat(["a", "b"], 40)
    measured = np.zeros((80, 3))
    measured[:40, 0], measured[40:, 1], measured[:, 2] = 10, 20, 5
    return measured, labels


def test_zeros_are_kept_where_less_than_a_tenth_of_the_markers_mean_is_expected(silent):
    measured, labels = silent
    assert zeros_kept(measured, measured, labels) == 1
    expected = measured.copy()
    expected[40:60, 0] = 1.5  # above a tenth of 10 in half of the cells of b
    expected[:40, 1] = 1.5  # below a tenth of 20
    assert zeros_kept(measured, expected, labels) == pytest.approx(60 / 80)
    assert zeros_kept_by_label(measured, expected, labels) == {"a": 1.0, "b": 0.5}


def test_without_a_marker_that_another_label_lacks_there_is_nothing_to_keep(silent):
    measured, labels = silent
    with pytest.raises(DataError, match="needs a label of 20 cells with a marker"):
        zeros_kept(measured[:, 2:], measured[:, 2:], labels)
    with pytest.raises(DataError, match="needs a label of 20 cells with a marker"):
        zeros_kept(measured[:10], measured[:10], labels[:10])
