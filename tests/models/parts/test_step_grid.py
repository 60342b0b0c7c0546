"""Rows become sequences of what was measured; what was not measured is no number anywhere."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.core.minibatch import SparseRows
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.step_grid import StepGrid

# out of order on purpose: sequence b before a, late before early
VAR = pd.DataFrame(
    {
        "experiment": ["b", "a", "a", "a", "b", "a", "a"],
        "time": [30, 10, 0, 40, 20, 10, 0],
        "what": ["x", "x", "x", "x", "x", "y", "y"],
    },
    index=["b30", "a10", "a0", "a40", "b20", "a10y", "a0y"],
)
KEYS = {"step_key": "time", "sequence_key": "experiment", "quantity_key": "what"}
N = np.nan
ROWS = np.array(
    [
        [1, 2, 3, 4, 5, 6, 7],
        [N, N, 1, 2, 3, N, N],
        [N, N, N, N, N, 4, N],
        [N, N, N, N, N, N, N],
    ],
    dtype=np.float32,
)


def source_of(rows=ROWS):
    return open_data(AnnData(rows, var=VAR), **KEYS)


@pytest.fixture
def grid():
    return StepGrid(source_of().schema.steps)


def sequences_of(grid, rows=ROWS):
    return grid(SparseRows.of(rows))


def test_steps_come_in_the_order_of_time_and_those_without_a_value_are_dropped(grid):
    found = sequences_of(grid)
    assert found.row.tolist() == [0, 0, 1, 1, 2]
    assert found.sequence.tolist() == [0, 1, 0, 1, 0]
    assert found.lengths.tolist() == [3, 2, 2, 1, 1]
    assert found.values[0].tolist() == [[3, 7], [2, 6], [4, 0]]
    assert found.observed[0].tolist() == [[True, True], [True, True], [True, False]]
    assert found.values[1].tolist() == [[5, 0], [1, 0], [0, 0]]
    assert found.values[2].tolist() == [[1, 0], [2, 0], [0, 0]]
    assert found.values[4].tolist() == [[0, 4], [0, 0], [0, 0]]


def test_gaps_are_the_times_since_the_step_before_in_usual_gaps(grid):
    # the median gaps are 20 (of 10 and 30) in a and 10 in b; the usual one is 15
    found = sequences_of(grid)
    gaps = [row[:n].tolist() for row, n in zip(found.gaps * 15, found.lengths, strict=True)]
    assert [[round(gap, 4) for gap in row] for row in gaps] == [[0, 10, 30], [0, 10], [0, 40], [0], [10]]


def test_the_order_of_features_in_the_file_changes_nothing(grid):
    order = np.array([3, 1, 6, 0, 2, 5, 4])
    other = open_data(AnnData(ROWS[:, order], var=VAR.iloc[order]), **KEYS)
    first = grid.inputs(sequences_of(grid))
    grid_of_other = StepGrid(other.schema.steps)
    assert torch.equal(first, grid_of_other.inputs(sequences_of(grid_of_other, ROWS[:, order])))


def test_sparse_rows_keep_their_measured_zeros(grid):
    from scipy import sparse

    rows = np.where(np.isnan(ROWS), N, ROWS * (ROWS > 2))
    first, second = sequences_of(grid, rows), grid(SparseRows.of(sparse.csr_matrix(rows)))
    assert torch.equal(grid.inputs(first), grid.inputs(second))
    assert torch.equal(first.observed, second.observed)


def test_replicates_count_as_the_mean_of_those_measured():
    var = pd.DataFrame({"time": [0, 0, 1]}, index=["first", "second", "later"])
    rows = np.array([[1, 3, 5], [1, N, 5], [N, N, 5]], dtype=np.float32)
    with pytest.warns(UserWarning, match="count as replicates"):
        steps = open_data(AnnData(rows, var=var), step_key="time").schema.steps
    found = StepGrid(steps)(SparseRows.of(rows))
    assert [row[:n, 0].tolist() for row, n in zip(found.values, found.lengths, strict=True)] == [[2, 5], [1, 5], [5]]


def test_the_moments_are_those_of_what_was_measured_on_the_given_rows(grid):
    source = source_of(np.concatenate([ROWS, 100 * ROWS]))
    grid.learn(source, np.arange(4))
    a_x = np.array([3, 2, 4, 1, 2])
    b_x = np.array([5, 1, 3])
    np.testing.assert_allclose(grid.mean[:, 0], [a_x.mean(), b_x.mean()], rtol=1e-6)
    np.testing.assert_allclose(grid.scale[:, 0], [a_x.std(), b_x.std()], rtol=1e-6)
    # y was never measured in b
    assert (grid.mean[1, 1], grid.scale[1, 1]) == (0, 1)
    standard = sequences_of(grid).values
    np.testing.assert_allclose(standard[1, :2, 0], (np.array([5, 1]) - b_x.mean()) / b_x.std(), rtol=1e-5)


def test_what_never_varied_keeps_its_unit(grid):
    grid.learn(source_of(np.full((5, 7), 3.0, dtype=np.float32)), np.arange(5))
    assert torch.equal(grid.scale, torch.ones(2, 2))


def test_the_value_under_a_mask_changes_nothing(grid):
    minibatch = next(iter(in_order(source_of())))
    values, observed = grid.placed(minibatch.x)
    first = grid.compacted(torch.where(observed, values, 0.0), observed)
    assert not first.values[~first.observed].any()
    garbage = grid.placed(SparseRows.of(np.nan_to_num(ROWS, nan=1e9)))[0]
    second = grid.compacted(torch.where(observed, garbage, 0.0), observed)
    assert torch.equal(grid.inputs(first), grid.inputs(second))


def test_rows_without_any_step_give_no_sequence_and_a_mean_of_zero(grid):
    found = sequences_of(grid, ROWS[3:])
    assert found.lengths.shape == (0,)
    assert found.mean_by_row(torch.ones(0, 2)).tolist() == [[0, 0]]


def test_the_mean_is_over_the_sequences_that_a_row_has(grid):
    numbers = torch.tensor([[1.0], [3.0], [5.0], [6.0], [7.0]])
    assert sequences_of(grid).mean_by_row(numbers)[:, 0].tolist() == [2, 5.5, 7, 0]


def test_quantities_of_very_different_size_have_each_their_own_scale():
    var = pd.DataFrame({"time": [0, 0, 1, 1], "what": ["big", "small"] * 2}, index=list("abcd"))
    rows = np.random.default_rng(0).normal(size=(200, 4)) * [1e6, 1e-3, 1e6, 1e-3]
    source = open_data(AnnData(rows.astype(np.float32), var=var), step_key="time", quantity_key="what")
    grid = StepGrid(source.schema.steps)
    grid.learn(source, np.arange(200))
    np.testing.assert_allclose(grid.scale[0], [rows[:, ::2].std(), rows[:, 1::2].std()], rtol=1e-4)
