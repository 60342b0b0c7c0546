"""Changes: the spline's F test against least squares, its calibration, and what a planted curve looks like."""

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.interpolate import BSpline

from cellwright.dynamics.changes import GRID, adjusted, changes

N_OBS = 200


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    time = rng.random(N_OBS)
    values = np.column_stack([np.sin(4 * time), time, rng.normal(size=N_OBS), np.full(N_OBS, 3.0)])
    values[:, :3] += 0.3 * rng.normal(size=(N_OBS, 3))
    return values, time


def design(time, weight):
    """A cubic spline with one knot where half of the weight is before."""
    order = np.argsort(time)
    inner = time[order][np.searchsorted(np.cumsum(weight[order]) / weight.sum(), 0.5)]
    knots = [*[time.min()] * 4, inner, *[time.max()] * 4]
    return np.column_stack([BSpline.basis_element(knots[i : i + 5], extrapolate=False)(time) for i in range(5)])


def test_the_f_test_is_that_of_least_squares_against_a_constant(cells):
    values, time = cells
    basis = np.nan_to_num(design(time, np.ones(N_OBS)))
    basis[time == time.max(), -1] = 1  # the last basis element is open at its end
    found = changes(values, time, np.ones(N_OBS))
    for feature in range(3):
        y = values[:, feature]
        rest = np.linalg.lstsq(basis, y)[1].item()
        whole = ((y - y.mean()) ** 2).sum()
        statistic = (whole - rest) / 4 / (rest / (N_OBS - 5))
        assert found.statistic[feature] == pytest.approx(statistic, rel=1e-6)
        assert found.p[feature] == pytest.approx(stats.f.sf(statistic, 4, N_OBS - 5), rel=1e-6)
        assert found.explained[feature] == pytest.approx(1 - rest / whole, rel=1e-6)


def test_equal_weights_are_as_none_and_zero_weights_leave_cells_out(cells):
    values, time = cells
    known = changes(values[:150], time[:150], np.ones(150))
    for weight in (np.full(150, 0.3), np.ones(150)):
        found = changes(values[:150], time[:150], weight)
        np.testing.assert_allclose(found.statistic, known.statistic)
        np.testing.assert_allclose(found.curves, known.curves)
    padded = changes(values, time, (np.arange(N_OBS) < 150) * 0.5)
    np.testing.assert_allclose(padded.statistic, known.statistic)
    np.testing.assert_allclose(padded.p, known.p)


def test_a_weighted_curve_is_that_of_weighted_least_squares(cells):
    values, time = cells
    weight = np.where(time == time.max(), 1, np.random.default_rng(1).random(N_OBS))
    basis = np.nan_to_num(design(time, weight))
    basis[time == time.max(), -1] = 1
    root = np.sqrt(weight)[:, None]
    fitted = basis @ np.linalg.lstsq(root * basis, root * values)[0]
    found = changes(values, time, weight)
    for feature in range(3):
        at_cells = np.interp(time, found.grid, found.curves[feature])
        np.testing.assert_allclose(at_cells, fitted[:, feature], atol=5e-3)  # between 50 points


def test_sparse_values_are_as_dense_ones(cells):
    values, time = cells
    values = np.maximum(values, 0)
    weight = np.random.default_rng(1).random(N_OBS)
    dense, thin = changes(values, time, weight), changes(sparse.csr_matrix(values), time, weight)
    np.testing.assert_allclose(dense.curves, thin.curves)
    np.testing.assert_allclose(dense.p, thin.p)


def test_p_is_uniform_where_nothing_follows_pseudotime():
    """Of 2,000 features of noise; Kolmogorov and Smirnov at one in a thousand."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_OBS, 2000))
    found = changes(values, rng.permutation(N_OBS) / N_OBS, np.ones(N_OBS))
    assert stats.kstest(found.p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("case", ["cells that count a little", "half of the cells at one pseudotime"])
def test_p_is_not_too_small_where_cells_count_for_little(case):
    """It is too large then: cells of little weight, and a spline that no cell needs, count as if they were more."""
    rng = np.random.default_rng(0)
    time = rng.permutation(N_OBS) / N_OBS
    weight = np.where(time > 0.5, 1.0, 0.01) if case == "cells that count a little" else np.ones(N_OBS)
    time = time if case == "cells that count a little" else np.maximum(time, 0.55)
    found = changes(rng.normal(size=(N_OBS, 2000)), time, weight)
    assert (found.p < 0.05).mean() < 0.05


def test_a_planted_curve_has_its_size_and_its_peak(cells):
    values, time = cells
    found = changes(values, time, np.ones(N_OBS))
    grid = np.linspace(time.min(), time.max(), GRID)
    np.testing.assert_allclose(found.grid, grid)
    assert found.size[0] == pytest.approx(np.ptp(np.sin(4 * grid)), abs=0.25)
    assert found.peak[0] == pytest.approx(np.pi / 8, abs=0.08)
    assert found.p[0] < 1e-9
    assert found.p[1] < 1e-9


def test_a_curve_ends_where_its_lineage_does():
    """Cells of a longer lineage, of which a solver leaves a billionth of the fate, have other values later on."""
    rng = np.random.default_rng(0)
    time = rng.random(400)
    weight = np.where(time < 0.6, 1.0, 1e-9)
    values = np.column_stack([np.where(time < 0.6, time, -5.0), np.where(time < 0.6, 0.6 - time, 9.0)])
    found = changes(values + 0.01 * rng.normal(size=(400, 2)), time, weight)
    assert found.grid[-1] == time[time < 0.6].max()
    np.testing.assert_allclose(found.size, 0.6, atol=0.05)
    np.testing.assert_allclose(found.peak, found.grid[[-1, 0]])


def test_a_constant_feature_has_no_statistic_and_explains_nothing(cells):
    values, time = cells
    found = changes(values, time, np.ones(N_OBS))
    assert np.isnan(found.statistic[3])
    assert (found.p[3], found.explained[3]) == (1, 0)
    assert found.size[3] == pytest.approx(0, abs=1e-9)


def test_a_feature_that_follows_pseudotime_exactly_is_explained(cells):
    _, time = cells
    found = changes(time[:, None], time, np.ones(N_OBS))
    assert found.explained[0] == pytest.approx(1)
    assert found.p[0] < 1e-100


@pytest.mark.parametrize(
    ("time", "weight"),
    [
        (np.arange(40.0), (np.arange(40) < 14) * 1.0),
        (np.arange(40.0), np.where(np.arange(40) < 5, 1.0, 0.01)),
        (np.ones(40), np.ones(40)),
        (np.arange(40.0), np.zeros(40)),
        (np.full(40, np.inf), np.ones(40)),
    ],
    ids=["few cells", "few that weigh", "one pseudotime", "none", "not reached"],
)
def test_what_is_too_little_for_a_curve_has_none(time, weight):
    assert changes(np.ones((40, 2)), time, weight) is None


def test_many_cells_at_one_pseudotime_have_a_curve(cells):
    values, time = cells
    found = changes(values, np.maximum(time, 0.6), np.ones(N_OBS))
    assert np.isfinite(found.curves).all()
    assert np.isfinite(found.p).all()


def test_the_order_of_cells_does_not_matter(cells):
    values, time = cells
    order = np.random.default_rng(0).permutation(N_OBS)
    found, known = changes(values[order], time[order], np.ones(N_OBS)), changes(values, time, np.ones(N_OBS))
    np.testing.assert_allclose(found.curves, known.curves, atol=1e-9)


def test_adjusted_is_benjamini_and_hochberg_over_all():
    p = np.array([[0.01, 0.04], [0.03, 0.5]])
    np.testing.assert_allclose(adjusted(p), [[0.04, 0.04 * 4 / 3], [0.04 * 4 / 3, 0.5]])
    assert adjusted(np.zeros((0, 0))).size == 0
