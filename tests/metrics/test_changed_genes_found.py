"""The share equals its definition, step by step, and is known for planted changes."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu

from cellwright.metrics.changed_genes_found import changed_genes_found

N_VARS = 40


def cells(changed, n_obs, seed, factor=4.0, spread=0.3):
    """Gaussian cells around log 2; the features in `changed` are larger by log(factor)."""
    means = np.log(2) + np.isin(np.arange(N_VARS), changed) * np.log(factor)
    return np.random.default_rng(seed).normal(means, spread, size=(n_obs, N_VARS))


CONTROL = cells([], 60, 0)


def by_definition(control, treated, predicted):
    def ranked(cells):
        p = mannwhitneyu(cells, control, axis=0, use_continuity=False, method="asymptotic").pvalue
        fold = np.abs(np.log2(np.exp(cells).mean(axis=0) / np.exp(control).mean(axis=0)))
        certain = false_discovery_control(p) < 0.05
        return [gene for gene in np.argsort(-fold) if certain[gene]]

    real, found = ranked(treated), ranked(predicted)
    return len(set(real) & set(found[: len(real)])) / len(real)


@pytest.mark.parametrize("seed", range(4))
def test_equals_its_definition_on_weak_changes(seed):
    treated = cells(range(20), 50, seed, factor=1.3)
    predicted = cells(range(10, 30), 50, 100 + seed, factor=1.3)
    found = changed_genes_found(CONTROL, treated, predicted)
    assert found == pytest.approx(by_definition(CONTROL, treated, predicted))
    assert 0 < found < 1


def test_half_of_the_planted_genes_are_found_if_the_other_half_is_predicted_wrongly():
    assert changed_genes_found(CONTROL, cells(range(8), 500, 1), cells(range(4, 12), 500, 2)) == 0.5


def test_predicted_changes_beyond_the_number_of_real_ones_do_not_count():
    """All genes are significant in the prediction, the planted ones least changed: none of them is among its first."""
    predicted = np.where(np.isin(np.arange(N_VARS), range(8)), cells(range(8), 50, 3), cells(range(N_VARS), 50, 3, 9.0))
    assert changed_genes_found(CONTROL, cells(range(8), 50, 1), predicted) == 0


def test_no_change_finds_none_and_where_nothing_changes_the_share_is_zero():
    assert changed_genes_found(CONTROL, cells(range(8), 50, 1), CONTROL) == 0
    assert changed_genes_found(CONTROL, CONTROL, cells(range(8), 50, 1)) == 0


def test_a_change_in_the_wrong_direction_counts_as_found():
    assert changed_genes_found(CONTROL, cells([3], 50, 1), cells([3], 50, 2, factor=0.2)) == 1
