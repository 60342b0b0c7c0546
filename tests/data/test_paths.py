"""Paths and walks among planted cells: which cell is where is known, so that every step can be checked."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.paths import PathOptions, paths, split_steps, walks
from cellwright.errors import DataError, MissingKey, OptionError

N = 120


@pytest.fixture
def cells():
    """Two lineages, x = time and y = +1 or -1 by lineage; four cells have no time; each cell leads to later ones."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 6, N))
    lineage = rng.choice(["up", "down"], N)
    sign = np.where(lineage == "up", 1.0, -1.0)
    adata = AnnData(np.stack([time, sign], axis=1).astype(np.float32), var=pd.DataFrame(index=["x", "y"]))
    adata.obs = pd.DataFrame(
        {"time": time, "lineage": lineage, "donor": "d", "u": rng.random(N)}, index=adata.obs_names
    )
    adata.obs.loc[adata.obs_names[[3, 50]], "time"] = np.nan
    adata.obs.loc[adata.obs_names[[4, 51]], "time"] = np.inf
    weights = np.triu(rng.random((N, N)) * (sign[:, None] == sign), 1) * (np.abs(time[:, None] - time) < 1)
    weights[weights.sum(axis=1) == 0] += np.eye(N)[weights.sum(axis=1) == 0]
    adata.obsp["transitions"] = sparse.csr_matrix(weights / weights.sum(axis=1, keepdims=True))
    adata.obsm["fates"] = np.stack([sign > 0, sign < 0], axis=1) * 1.0
    adata.obsm["X_twice"] = 2 * adata.X
    adata.uns["trajectory"] = {"fates": ["top", "bottom"]}
    return adata


SMALL = PathOptions(n_windows=6, n_paths=20)


def grid_of(found):
    """(n_paths, n_windows, n_quantities)"""
    return found.X.reshape(found.n_obs, -1, found.var["quantity"].nunique())


def test_a_step_is_a_cell_of_the_window_and_the_lineage(cells):
    found = paths(cells, time="time", by="lineage", options=SMALL)
    steps, cell = grid_of(found), found.obsm["cell"]
    assert found.obs["lineage"].tolist() == ["down"] * 20 + ["up"] * 20
    assert (cell >= 0).all()
    np.testing.assert_array_equal(steps, cells.X[cell])
    np.testing.assert_array_equal(steps[:, :, 1], np.repeat([[-1.0], [1.0]], 20, axis=0).repeat(6, axis=1))
    middles = found.var["step"].to_numpy().reshape(6, 2)[:, 0]
    assert (np.abs(steps[:, :, 0] - middles) <= np.diff(middles)[0] / 2 + 1e-5).all()
    assert found.obs["donor"].eq("d").all()
    assert "u" not in found.obs


def test_the_mean_of_several_cells_has_less_noise_and_the_same_mean(cells):
    one, many = (
        grid_of(
            paths(cells, time="time", by="lineage", options=SMALL.model_copy(update={"n_cells": n, "n_paths": 400}))
        )
        for n in (1, 16)
    )
    np.testing.assert_allclose(one.mean(axis=0), many.mean(axis=0), atol=0.06)
    assert many[:400, :, 0].std(axis=0).mean() < 0.4 * one[:400, :, 0].std(axis=0).mean()


def test_fates_are_lineages_and_weigh_their_cells(cells):
    found = paths(cells, time="time", fates="fates", use_rep="X_twice", options=SMALL)
    assert found.obs["fate"].tolist() == ["top"] * 20 + ["bottom"] * 20
    np.testing.assert_array_equal(grid_of(found)[:, 0, 1], [2.0] * 20 + [-2.0] * 20)
    assert found.var["quantity"].unique().tolist() == ["X_twice_0", "X_twice_1"]
    # three quarters sure: a quarter of the cells of its paths are of the other lineage
    cells.obsm["fates"] = 0.5 + 0.25 * np.stack([cells.X[:, 1], -cells.X[:, 1]], axis=1)
    many = paths(cells, time="time", fates="fates", options=SMALL.model_copy(update={"n_paths": 800}))
    up = cells.obs["lineage"].eq("up").to_numpy()
    inside = np.isfinite(cells.obs["time"].to_numpy(float))
    window = np.clip((cells.obs["time"].to_numpy(float)[inside] - np.nanmin(cells.X[inside, 0])) // 1, 0, 5)
    assert len(window) == N - 4
    share = (grid_of(many)[:800, :, 1] > 0).mean()
    n_up, n_down = up[inside].sum(), (~up[inside]).sum()
    assert share == pytest.approx(0.75 * n_up / (0.75 * n_up + 0.25 * n_down), abs=0.08)


def test_the_same_seed_gives_the_same_paths_and_another_others(cells):
    first, again, other = (
        paths(cells, time="time", by="lineage", options=SMALL.model_copy(update={"seed": seed})).X for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_window_without_a_cell_of_the_lineage_is_not_measured(cells):
    early = cells[(cells.obs["lineage"] == "down") | (cells.obs["time"] < 3)].copy()
    found = paths(early, time="time", by="lineage", options=SMALL)
    steps = grid_of(found)
    assert np.isnan(steps[20:, 4:]).all()
    assert (found.obsm["cell"][20:, 4:] == -1).all()
    assert not np.isnan(steps[:20]).any()
    source = open_data(found, step_key="step", quantity_key="quantity")
    assert source.n_obs == 40


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_a_walk_stays_in_its_lineage_and_goes_on_along_the_transitions(cells, backwards):
    found = walks(cells, time="time", backwards=backwards, keep=("lineage",), options=SMALL)
    cell = found.obsm["cell"]
    start = cell[:, -1] if backwards else cell[:, 0]
    assert (start >= 0).all()
    times = np.where(cell >= 0, cells.obs["time"].to_numpy(float)[cell], np.nan)
    steps = grid_of(found)
    for path in range(20):
        there = cell[path] >= 0
        assert (np.diff(times[path][there]) > 0).all()
        assert len(set(steps[path, there, 1])) == 1
    sign = np.where(found.obs["lineage"] == "up", 1, -1)
    np.testing.assert_array_equal(np.nanmax(steps[:, :, 1], axis=1), sign)


def test_walks_start_evenly_among_the_cells_of_their_first_window(cells):
    found = walks(cells, time="time", backwards=True, options=PathOptions(n_windows=6, n_paths=3000))
    _, n = np.unique(found.obsm["cell"][:, -1], return_counts=True)
    assert n.std() < 2 * np.sqrt(n.mean())


def test_walks_from_anywhere_start_in_every_window_in_proportion_to_its_cells(cells):
    found = walks(cells, time="time", anywhere=True, options=PathOptions(n_windows=6, n_paths=3000))
    start = (found.obsm["cell"] >= 0).argmax(axis=1)
    time = cells.obs["time"].to_numpy(float)
    time = time[np.isfinite(time)]
    expected = np.histogram(time, bins=6)[0] / len(time)
    np.testing.assert_allclose(np.bincount(start, minlength=6) / 3000, expected, atol=0.03)


def test_quantities_keep_their_order_in_a_source(cells):
    cells.obsm["X_wide"] = np.tile(np.arange(12.0), (N, 1))
    found = paths(cells, time="time", by="lineage", use_rep="X_wide", options=SMALL)
    source = open_data(found, step_key="step", quantity_key="quantity")
    assert source.schema.steps.quantities == tuple(f"X_wide_{i}" for i in range(12))


def test_moves_have_the_probabilities_of_the_chain():
    chain = sparse.csr_matrix(np.array([[0, 0.2, 0.8], [0, 1, 0], [0, 0, 1.0]]))
    adata = AnnData(np.array([[0.0], [1.0], [2.0]], dtype=np.float32), obsp={"transitions": chain})
    adata.obs["time"] = [0.0, 1.0, 1.0]
    found = walks(adata, time="time", options=PathOptions(n_windows=2, n_paths=2000))
    assert (found.obsm["cell"][:, 1] == 2).mean() == pytest.approx(0.8, abs=0.03)
    back = walks(adata, time="time", backwards=True, options=PathOptions(n_windows=2, n_paths=2000))
    # cells 1 and 2 stay in the chain, so what leads to them is themselves as well: 0.2 of 1.2, and 0.8 of 1.8
    assert (back.obsm["cell"][:, 0] == 0).all()


def test_steps_are_divided_at_a_time_and_train_rows_do_not_see_later_ones(cells):
    found = paths(cells, time="time", by="lineage", options=SMALL)
    early, late = split_steps(found, 4.0)
    # which cells come later is not told to the earlier part
    assert early.obsm["cell"].shape[1] == early.var["step"].nunique()
    np.testing.assert_array_equal(np.hstack([early.obsm["cell"], late.obsm["cell"]]), found.obsm["cell"])
    assert (early.var["step"] < 4).all()
    assert (late.var["step"] >= 4).all()
    assert early.n_vars + late.n_vars == found.n_vars
    for before in (-1.0, 99.0):
        with pytest.raises(OptionError, match="before must have steps on both sides"):
            split_steps(found, before)
    with pytest.raises(MissingKey, match="step_key"):
        split_steps(found, 1.0, step_key="when")


def test_what_cannot_be_is_refused_in_one_sentence(cells):
    with pytest.raises(OptionError, match="neither by nor fates was given"):
        paths(cells, time="time")
    for wrong in ({"by": "clade"}, {"fates": "ends"}, {"by": "lineage", "use_rep": "X_vae"}):
        with pytest.raises(MissingKey):
            paths(cells, time="time", **wrong)
    with pytest.raises(MissingKey, match="transitions"):
        walks(cells, time="time", transitions="none")
    with pytest.raises(MissingKey, match="keep"):
        walks(cells, time="time", keep=("clade",))
    with pytest.raises(OptionError, match="n_cells of walks must be 1"):
        walks(cells, time="time", options=PathOptions(n_cells=2))
    with pytest.raises(DataError, match="two different times"):
        paths(cells[:1].copy(), time="time", by="lineage")
    cells.obsp["transitions"] = 2 * cells.obsp["transitions"]
    with pytest.raises(DataError, match="rows that sum to one"):
        walks(cells, time="time")
    cells.obsm["fates"] = cells.obsm["fates"] * 3
    with pytest.raises(DataError, match="must hold probabilities"):
        paths(cells, time="time", fates="fates")
