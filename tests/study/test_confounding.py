"""How far a batch tells a label or a time: known answers at the ends, chance is taken off, sums of squares agree."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellwright.study.confounding import COLUMNS, confounding, cramers_v, share_between


def test_a_batch_that_tells_the_label_has_one_and_an_independent_one_zero():
    label = np.repeat([0, 1, 2], 40)
    assert cramers_v(label, label) == pytest.approx(1)
    assert cramers_v(np.tile([0, 1], 60), label) == 0


def test_it_is_scipys_v_without_the_part_of_chance():
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 3, 2000)
    label = np.where(rng.random(2000) < 0.4, batch, rng.integers(0, 4, 2000))
    table = pd.crosstab(batch, label).to_numpy()
    assert cramers_v(batch, label) == pytest.approx(stats.contingency.association(table, method="cramer"), abs=0.01)


def test_chance_alone_is_not_taken_for_confounding_where_cells_are_few():
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found.append(cramers_v(rng.integers(0, 5, 60), rng.integers(0, 8, 60)))
    plain = [
        stats.contingency.association(pd.crosstab(*np.random.default_rng(s).integers(0, (5, 8), (60, 2)).T).to_numpy())
        for s in range(200)
    ]
    assert np.mean(found) < 0.1 < 0.2 < np.mean(plain)


def test_unknown_batches_and_labels_are_left_out():
    batch, label = np.array([0, 0, 1, 1, -1, 0]), np.array([0, 0, 1, 1, 1, -1])
    assert cramers_v(batch, label) == cramers_v(batch[:4], label[:4])


def test_the_share_between_batches_is_that_of_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 4, 300)
    time = batch + rng.normal(size=300)
    groups = [time[batch == code] for code in range(4)]
    f = stats.f_oneway(*groups).statistic
    assert share_between(batch, time) == pytest.approx(3 * f / (3 * f + 296))


@pytest.mark.parametrize(
    "time", [pytest.param(np.ones(4), id="one-time"), pytest.param(np.full(4, np.nan), id="unknown")]
)
def test_a_time_that_does_not_vary_has_no_share(time):
    assert share_between(np.array([0, 0, 1, 1]), time) == 0


def test_a_row_for_what_is_given_and_a_flag_above_its_limit():
    batch = np.repeat([0, 1], 50)
    labels = pd.Series(np.where(batch, "a", "b"), name="cell_type")
    time = pd.Series(np.tile([1.0, 2.0], 50), name="day")
    table = confounding(batch, labels=labels, time=time)
    assert table.columns.tolist() == COLUMNS
    assert dict(zip(table["key"], table["is_confounded"], strict=True)) == {"cell_type": True, "day": False}
    assert not len(confounding(batch))


def test_labels_that_are_missing_are_left_out_of_the_row():
    batch = np.repeat([0, 1], 50)
    labels = pd.Series(np.where(batch, "a", "b"), name="cell_type").where(np.arange(100) % 2 == 0, None)
    assert confounding(batch, labels=labels)["value"].item() > 0.9
