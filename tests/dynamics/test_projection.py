"""Projection: curves of a planted fork and arrows of a planted walk."""

import numpy as np
import pytest
from scipy import sparse

from cellwright.dynamics.projection import N_GRID, N_POINTS, arrows, lineage_curves


@pytest.fixture(scope="module")
def cells():
    """A stem along the first axis up to .5, and then two branches up and down; their pseudotime and fates."""
    time = np.linspace(0, 1, 401)
    side = np.where(time < 0.5, 0, np.where(np.arange(401) % 2, 1, -1))
    places = np.column_stack([time, side * (time - 0.5)])
    fates = np.column_stack([(side >= 0) / (1.0 + (side == 0)), (side <= 0) / (1.0 + (side == 0))])
    return places, time, fates


def test_a_curve_runs_along_its_lineage(cells):
    curves = lineage_curves(*cells)
    assert curves.shape == (2, N_POINTS, 3)
    for curve, side in zip(curves, (1, -1), strict=True):
        assert curve[0, 0] == 0
        assert curve[-1, 0] == pytest.approx(1, abs=0.01)
        # a mean over a window: beside the place on the path by no more than the window is wide
        np.testing.assert_allclose(curve[:, 1], curve[:, 0], atol=0.06)
        np.testing.assert_allclose(curve[:, 2], side * np.maximum(curve[:, 0] - 0.5, 0), atol=0.06)


def test_curves_run_together_where_lineages_have_not_parted(cells):
    first, second = lineage_curves(*cells)
    early = first[:, 0] < 0.35
    np.testing.assert_allclose(first[early], second[early], atol=1e-3)


def test_cells_without_pseudotime_or_fate_are_not_in_a_curve(cells):
    places, time, fates = (part.copy() for part in cells)
    known = lineage_curves(places[:-4], time[:-4], fates[:-4])
    places[-4:], time[-2:], fates[-4:] = 1e3, np.inf, np.nan
    np.testing.assert_array_equal(lineage_curves(places, time, fates), known)


def test_arrows_point_where_the_walk_goes(cells):
    """Each cell to the next of its branch, which is two rows further where cells of two branches take turns."""
    places, _, _ = cells
    to = np.minimum(np.arange(401) + np.where(places[:, 1] == 0, 1, 2), 400)
    walk = sparse.csr_matrix((np.ones(401), (np.arange(401), to)), shape=(401, 401))
    found = arrows(places, walk)
    assert (found[:, 2] > 0).all()
    late = np.abs(found[:, 1]) > 0.1
    assert late.sum() > 5
    np.testing.assert_allclose(found[late, 3], np.sign(found[late, 1]) * found[late, 2], atol=0.2 / N_GRID)


def test_the_longest_arrow_is_as_long_as_a_cell_of_the_grid(cells):
    places, _, _ = cells
    walk = sparse.csr_matrix((np.ones(400), (np.arange(400), np.arange(1, 401))), shape=(401, 401))
    found = arrows(places, walk)
    assert np.linalg.norm(found[:, 2:], axis=1).max() == pytest.approx(1 / N_GRID)
    scaled = arrows(50 * places, walk)
    np.testing.assert_allclose(scaled, 50 * found)


def test_a_walk_that_stays_has_arrows_of_no_length(cells):
    places, _, _ = cells
    assert (arrows(places, sparse.eye(401).tocsr())[:, 2:] == 0).all()


def test_cells_in_one_place_have_one_arrow_of_no_length():
    found = arrows(np.ones((5, 2)), sparse.eye(5).tocsr())
    np.testing.assert_array_equal(found, [[1, 1, 0, 0]])
