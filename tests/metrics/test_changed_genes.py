"""Changed genes equal SciPy's tests, and no predicted cell can have a say in which they are."""

import inspect

import numpy as np
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.changed_genes import by_fold_change, changed_genes, most_changed

RNG = np.random.default_rng(0)
N_VARS, N_PLANTED = 60, 8
RATE = RNG.gamma(2.0, size=N_VARS) + 1
CHANGE = np.where(np.arange(N_VARS) < N_PLANTED, 2.0 + np.arange(N_VARS), 1.0)  # the later the larger


def cells(rate, n_obs, seed):
    return np.log1p(np.random.default_rng(seed).poisson(rate, size=(n_obs, N_VARS)))


CONTROL, TREATED = cells(RATE, 80, 1), cells(RATE * CHANGE, 70, 2)


def test_p_values_equal_scipys_mann_whitney_test():
    table = changed_genes(CONTROL, TREATED)
    p = mannwhitneyu(TREATED, CONTROL, axis=0, use_continuity=False, method="asymptotic").pvalue
    np.testing.assert_allclose(table["p_value"], p, rtol=1e-9)
    np.testing.assert_allclose(table["fdr"], false_discovery_control(p), rtol=1e-9)


def test_fold_change_and_difference_are_those_of_means_of_counts_and_of_logarithms():
    table = changed_genes(CONTROL, TREATED)
    ratio = (np.expm1(TREATED).mean(axis=0) + 1) / (np.expm1(CONTROL).mean(axis=0) + 1)
    np.testing.assert_allclose(table["log2_fold_change"], np.log2(ratio), atol=1e-12)
    np.testing.assert_allclose(table["difference"], TREATED.mean(axis=0) - CONTROL.mean(axis=0), atol=1e-12)


def test_values_that_no_logarithm_reaches_still_have_a_fold_change():
    found = changed_genes(CONTROL, TREATED + 5000)["log2_fold_change"]
    np.testing.assert_allclose(found, changed_genes(CONTROL, TREATED)["log2_fold_change"] + 5000 / np.log(2))


def test_the_planted_genes_are_found_in_the_order_of_their_changes():
    assert set(most_changed(CONTROL, TREATED, N_PLANTED)) == set(range(N_PLANTED))
    table = changed_genes(CONTROL, TREATED)
    size = table["log2_fold_change"].abs().to_numpy()
    order = by_fold_change(table)
    assert set(range(N_PLANTED)) <= set(order)
    assert (np.diff(size[order]) <= 0).all()
    assert (table["fdr"].to_numpy()[order] < 0.05).all()
    assert len(order) == (table["fdr"] < 0.05).sum()


def test_genes_that_change_for_certain_come_before_larger_differences_that_may_be_chance():
    control, treated = np.zeros((12, 3)), np.zeros((12, 3))
    treated[:, 1] = 0.1  # in every cell
    treated[0, 2] = 30.0  # in one cell
    assert most_changed(control, treated, 3).tolist() == [1, 2, 0]
    assert most_changed(control, treated, 1).tolist() == [1]


def test_of_fewer_genes_than_asked_for_all_are_given():
    assert sorted(most_changed(CONTROL, TREATED, 1000)) == list(range(N_VARS))


def test_the_choice_of_genes_takes_real_cells_alone():
    assert list(inspect.signature(changed_genes).parameters) == ["x_control", "x_treated"]
    assert list(inspect.signature(most_changed).parameters) == ["x_control", "x_treated", "n"]


@pytest.mark.parametrize(
    ("treated", "kind", "said"),
    [
        pytest.param(
            TREATED[:, :9], DataError, r"same features; their shapes are \(80, 60\) and \(70, 9\)", id="other"
        ),
        pytest.param(TREATED[:1], DataError, "at least 2 cells in x_treated; it has 1", id="one cell"),
        pytest.param(np.full((3, N_VARS), np.nan), UnsuitableValues, "x_treated must be finite", id="NaN"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_a_sentence(treated, kind, said):
    with pytest.raises(kind, match=said):
        changed_genes(CONTROL, treated)
