"""What a forecast starts from: the last step that is seen, and when the next ones are."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import OptionError
from cellwright.models.parts.past import Past, keyed, last_measured
from cellwright.models.parts.step_grid import StepGrid

TIMES = {"heat": [0, 10, 20, 40], "cold": [0, 5, 10]}
VAR = pd.DataFrame([(e, t) for e, times in TIMES.items() for t in times], columns=["experiment", "time"])
ROWS = np.arange(14, dtype=np.float32).reshape(2, 7) ** 2
ROWS[1, 3] = np.nan  # the second row has no last step of heat


@pytest.fixture
def source():
    adata = AnnData(ROWS, var=VAR.set_axis([f"t{i}" for i in range(7)]))
    return open_data(adata, step_key="time", sequence_key="experiment")


@pytest.fixture
def grid(source):
    grid = StepGrid(source.schema.steps)
    grid.learn(source, np.arange(2))
    return grid


def past_of(source, grid, n_steps, hidden=0):
    return Past.of(grid, next(iter(in_order(source))), n_steps, hidden)


def times_of(past):
    """By row and sequence (cold 0, heat 1): when the steps ahead are."""
    last = past.sequences.times.gather(1, past.sequences.lengths[:, None] - 1)
    ahead = ((last + past.distance) * past.grid.unit).numpy()
    return {
        (int(r), int(s)): pytest.approx(a.tolist())
        for r, s, a in zip(past.sequences.row, past.sequences.sequence, ahead, strict=True)
    }


def test_steps_ahead_lie_behind_the_end_of_the_schema_a_usual_gap_apart(source, grid):
    found = times_of(past_of(source, grid, 3))
    assert found[0, 0] == [15, 20, 25]
    assert found[0, 1] == [50, 60, 70]
    assert found[1, 1] == [50, 60, 70]


def test_hidden_steps_come_first_at_their_own_times(source, grid):
    found = times_of(past_of(source, grid, 3, hidden=2))
    assert found[0, 0] == [5, 10, 15]
    assert found[0, 1] == [20, 40, 50]
    assert grid.when(3, 2).tolist() == [[5, 10, 15], [20, 40, 50]]


def test_a_sequence_of_which_nothing_is_seen_does_not_go_on(source, grid):
    past = past_of(source, grid, 2, hidden=3)
    assert past.sequences.sequence.tolist() == [1, 1]
    out = past.in_unit(torch.zeros(2, 2, 1))
    assert out[:, 0].isnan().all()
    torch.testing.assert_close(out[:, 1], grid.mean[1].expand(2, 2, 1))


def test_how_far_a_step_is_counts_gaps_of_its_own_sequence(source, grid):
    past = past_of(source, grid, 2)
    ahead = {
        (int(r), int(s)): n.tolist()
        for r, s, n in zip(past.sequences.row, past.sequences.sequence, past.n_ahead, strict=True)
    }
    assert ahead[0, 0] == [1, 2]
    assert ahead[0, 1] == [1, 2]
    assert ahead[1, 1] == [3, 4]  # it ended at 20; the next is at 50


def test_the_last_value_of_each_quantity_is_that_of_the_last_step_that_has_one(source, grid):
    past = past_of(source, grid, 1)
    back = past.in_unit(past.last[:, None])[:, :, 0, 0]
    np.testing.assert_allclose(back, [[36, 9], [169, 81]], rtol=1e-5)
    np.testing.assert_allclose(last_measured(past.sequences)[0, :3, 0], past.sequences.values[0, :3, 0])


def test_noise_belongs_to_the_row_of_the_data_and_the_sequence(source, grid):
    whole = past_of(source, grid, 1)
    alone = Past.of(grid, next(iter(in_order(source, np.array([1])))), 1)
    of = {
        (int(r), int(s)): int(n)
        for r, s, n in zip(whole.rows, whole.sequences.sequence, whole.noise_rows(), strict=True)
    }
    assert of[1, 0] == int(alone.noise_rows()[0])
    assert len(set(of.values())) == 4
    assert keyed(torch.Generator().manual_seed(3)) == keyed(torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("n_steps", "hidden"), [(0, 0), (1, -1)])
def test_no_step_and_less_than_none_hidden_are_refused(source, grid, n_steps, hidden):
    with pytest.raises(OptionError, match="must be"):
        past_of(source, grid, n_steps, hidden)
