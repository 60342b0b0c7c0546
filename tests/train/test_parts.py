"""The small parts of the loop: history, stopping, cost, options."""

import time

import numpy as np
import pytest

from cellwright.errors import OptionError
from cellwright.train.cost import measured
from cellwright.train.history import History, Sums
from cellwright.train.options import FitOptions
from cellwright.train.stopping import EarlyStopping


def test_sums_give_the_mean_over_cells_not_over_minibatches():
    sums = Sums()
    sums.add({"a": 1.0}, 30)
    sums.add({"a": 4.0}, 10)
    assert sums.means == {"a": 1.75}
    assert Sums().means == {}


def test_history_is_a_table_of_epoch_split_term_value():
    history = History()
    history.add(0, "train", {"kl": 1.0, "loss": 2.0})
    history.add(1, "validation", {"loss": 3.0})
    rows = [[0, "train", "kl", 1.0], [0, "train", "loss", 2.0], [1, "validation", "loss", 3.0]]
    assert history.table.values.tolist() == rows
    assert history.n_epochs == 2
    assert History().n_epochs == 0


@pytest.mark.parametrize(
    ("values", "min_improvement", "best_epoch", "stopped_after"),
    [
        ([5, 4, 3, 2], 0.0, 3, None),
        ([5, 4, 6, 6, 6], 0.0, 1, 5),
        ([9, 5, 4.9, 4.8, 4.7], 0.1, 4, 5),
        ([9, 5, 4.9, 4.7, 4.5, 4.1], 0.1, 5, None),
    ],
    ids=["falling", "rising", "three epochs bring too little", "three epochs bring enough together"],
)
def test_early_stopping_waits_for_patience(values, min_improvement, best_epoch, stopped_after):
    stopping = EarlyStopping(patience=3, min_improvement=min_improvement)
    stops = []
    for epoch, value in enumerate(values):
        stopping.update(epoch, value)
        stops.append(stopping.should_stop)
    assert stopping.best_epoch == best_epoch
    assert (stops.index(True) + 1 if any(stops) else None) == stopped_after


def test_early_stopping_does_not_depend_on_unit_or_constant_of_the_loss():
    rng = np.random.default_rng(0)
    values = 100 * np.exp(-np.arange(60) / 10) + rng.normal(0, 0.1, 60)
    stops = []
    for scaled in (values, values * 1e3 - 5e4, values * 1e-3 + 7):
        stopping = EarlyStopping(patience=5, min_improvement=0.02)
        epoch = next(i for i, value in enumerate(scaled) if stopping.update(i, value) is None or stopping.should_stop)
        stops.append((epoch, stopping.best_epoch))
    assert len(set(stops)) == 1


def test_cost_counts_time_and_the_peak_of_memory_that_was_given_back():
    with measured() as before:
        pass
    with measured() as cost:
        block = bytearray(200 * 2**20)
        time.sleep(0.15)
        del block
    assert cost.wall_seconds >= 0.15
    assert cost.cpu_seconds < cost.wall_seconds + 0.5
    assert cost.peak_bytes - before.peak_bytes > 150 * 2**20
    with measured() as after:
        pass
    # unlike the system's own peak, ours falls again
    assert after.peak_bytes < cost.peak_bytes - 100 * 2**20


@pytest.mark.parametrize(
    ("n_train", "expected"), [(1000, 400), (20_000, 400), (80_000, 100), (10**8, 10)], ids="{} cells".format
)
def test_default_epochs_fall_with_the_number_of_cells(n_train, expected):
    assert FitOptions().epochs(n_train) == expected
    assert FitOptions(max_epochs=7).epochs(n_train) == 7


def test_a_minibatch_of_one_cell_cannot_be_asked_for():
    with pytest.raises(OptionError, match="batch_size of FitOptions"):
        FitOptions(batch_size=1)
