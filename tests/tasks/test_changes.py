"""Changes: planted features of a trajectory with two lineages, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from cellwright.dynamics.changes import GRID
from cellwright.errors import DataError, MissingKey, UnsuitableValues
from cellwright.tasks.changes import COLUMNS, changes

N_OBS = 200
SHAPES = {
    "up": lambda t: t,
    "down": lambda t: 1 - t,
    "hill": lambda t: 1 - (2 * t - 1) ** 2,
    "valley": lambda t: (2 * t - 1) ** 2,
}


@pytest.fixture(scope="module")
def made():
    """Cells of two lineages that are sure of theirs; four features that only the first's cells have, and noise."""
    rng = np.random.default_rng(0)
    time, first = rng.random(N_OBS), np.arange(N_OBS) % 2 == 0
    planted = np.column_stack([4 * shape(time) * first for shape in SHAPES.values()])
    values = np.column_stack([planted, np.full(N_OBS, 2.0), rng.random((N_OBS, 5))])
    values[:, :4] += 0.2 * rng.random((N_OBS, 4))
    names = [f"c{row}" for row in range(N_OBS)]
    cells = AnnData(obs=pd.DataFrame({"pseudotime": time}, index=names))
    cells.obsm["fates"] = np.column_stack([first, ~first]).astype(np.float32)
    cells.uns["trajectory"] = {"fates": np.array(["A", "B"])}
    features = pd.DataFrame(index=[*SHAPES, "constant", *(f"noise_{k}" for k in range(5))])
    return cells, AnnData(values, obs=pd.DataFrame(index=names), var=features)


@pytest.fixture
def cells(made):
    return made[0].copy()


def of(cells, lineage):
    return cells.uns["changes"].query("lineage == @lineage").set_index("feature")


def test_planted_features_are_first_in_their_lineage_with_their_direction(cells, made):
    changes(cells, made[1], n_top=4)
    table = of(cells, "A")
    assert set(table.index) == set(SHAPES)
    assert table["direction"].to_dict() == {"up": "rises", "down": "falls", "hill": "peaks", "valley": "dips"}
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["explained"].is_monotonic_decreasing
    assert table["explained"].min() > 0.9
    assert table["peak"]["hill"] == pytest.approx(0.5, abs=0.05)
    assert table["size"]["up"] == pytest.approx(4, abs=0.3)
    assert not set(SHAPES) & set(of(cells, "B").query("p_adjusted < 0.001").index)


def test_tables_and_curves_are_of_the_same_rows(cells, made):
    changes(cells, made[1], n_top=3)
    table, curves = cells.uns["changes"], cells.uns["changes_curves"]
    assert table.columns.tolist() == COLUMNS
    assert curves.shape == (6, GRID)
    assert curves.dtype == np.float32
    np.testing.assert_allclose(np.ptp(curves, axis=1), table["size"], rtol=1e-5)


def test_a_lineage_has_all_features_where_there_are_fewer_than_asked_for(cells, made):
    changes(cells, made[1])
    assert cells.uns["changes"].groupby("lineage").size().to_dict() == {"A": 10, "B": 10}
    constant = of(cells, "A").loc["constant"]
    assert (constant["p_value"], constant["explained"]) == (1, 0)


def test_p_is_adjusted_over_all_features_of_all_lineages(cells, made):
    from scipy.stats import false_discovery_control

    changes(cells, made[1])
    table = cells.uns["changes"]
    np.testing.assert_allclose(table["p_adjusted"], false_discovery_control(table["p_value"]))


def test_counts_are_made_logarithms_and_logarithms_are_taken_as_they_are(cells, made):
    counts = AnnData(np.round(1000 * made[1].X), obs=made[1].obs, var=made[1].var)
    logs = counts.copy()
    logs.X = np.log1p(counts.X / counts.X.sum(axis=1, keepdims=True) * 1e4)
    other = cells.copy()
    changes(cells, counts)
    changes(other, logs)
    pd.testing.assert_frame_equal(cells.uns["changes"], other.uns["changes"])
    counts.layers["counts"], counts.X = counts.X, np.zeros_like(counts.X)
    changes(other, counts, layer="counts")
    pd.testing.assert_frame_equal(cells.uns["changes"], other.uns["changes"])


def test_sparse_values_are_as_dense_ones(cells, made):
    other = cells.copy()
    changes(cells, made[1])
    thin = made[1].copy()
    thin.X = sparse.csr_matrix(thin.X)
    changes(other, thin)
    pd.testing.assert_frame_equal(cells.uns["changes"], other.uns["changes"])


def test_a_lineage_with_too_few_cells_has_no_row(cells, made):
    few = (np.arange(N_OBS) < 10).astype(np.float32)
    cells.obsm["fates"] = np.column_stack([1 - few, few])
    changes(cells, made[1])
    assert set(cells.uns["changes"]["lineage"]) == {"A"}


def test_no_lineage_with_enough_cells_is_an_empty_table(cells, made, tmp_path):
    cells.obsm["fates"] = np.full((N_OBS, 2), np.nan, dtype=np.float32)
    changes(cells, made[1])
    assert cells.uns["changes"].columns.tolist() == COLUMNS
    assert len(cells.uns["changes"]) == len(cells.uns["changes_curves"]) == 0
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert len(read_h5ad(tmp_path / "cells.h5ad").uns["changes"]) == 0


def test_cells_that_are_not_reached_are_left_out(cells, made):
    """Whatever their values are."""
    values = made[1].copy()
    cells.obs.loc[cells.obs_names[:20], "pseudotime"] = np.inf
    cells.obsm["fates"][:20] = np.nan
    other = cells.copy()
    changes(cells, values)
    values.X[:20] = 9
    changes(other, values)
    pd.testing.assert_frame_equal(cells.uns["changes"], other.uns["changes"])


@pytest.mark.parametrize(
    ("slot", "key"), [("obs", "pseudotime"), ("obsm", "fates"), ("uns", "trajectory")], ids=lambda name: name
)
def test_cells_without_a_trajectory_are_refused(cells, made, slot, key):
    del getattr(cells, slot)[key]
    with pytest.raises(MissingKey, match=rf"{slot} has no '{key}' \(what `trajectory` writes\)"):
        changes(cells, made[1])


@pytest.mark.parametrize("order", [slice(0, 50), slice(None, None, -1)], ids=["fewer", "another order"])
def test_values_of_other_cells_are_refused(cells, made, order):
    with pytest.raises(DataError, match=r"must be of the 200 cells of the trajectory, in their order"):
        changes(cells, made[1][order])


def test_values_that_are_missing_are_refused(cells, made):
    values = made[1].copy()
    values.X[3, 4] = np.nan
    with pytest.raises(UnsuitableValues):
        changes(cells, values)


def test_features_of_one_name_are_rows_of_their_own(cells, made):
    values = made[1].copy()
    values.var_names = ["up", "up", *values.var_names[2:]]
    changes(cells, values, n_top=4)
    assert (cells.uns["changes"].query("lineage == 'A'")["feature"] == "up").sum() == 2
