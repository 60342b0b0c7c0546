"""A few forecasts to look at hold what was seen, what was hidden, and the quantiles of what was said of it."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.models import build
from cellwright.tasks.fans import FAN_COLUMNS, fans
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def source():
    values = np.random.default_rng(0).normal(size=(30, 2, 5)).cumsum(axis=2).astype(np.float32)
    values[:, 1] *= 9
    var = pd.DataFrame({"e": ["a"] * 5 + ["b"] * 5, "t": [*range(5)] * 2}, index=[f"t{i}" for i in range(10)])
    return open_data(AnnData(values.reshape(30, 10), var=var), step_key="t", sequence_key="e")


def test_seen_and_hidden_steps_are_those_of_the_rows_and_bands_hold_the_mean(source):
    model = build("persistence", source.schema)
    fit(model, source, progress=False)
    table = fans(model, source, np.arange(10, 30), n_hidden=2)
    assert table.columns.tolist() == FAN_COLUMNS
    assert table["row"].nunique() == 6
    assert list(dict.fromkeys(table["sequence"])) == ["b", "a"]  # what varies most first
    one = table[(table["row"] == table["row"].iloc[0]) & (table["sequence"] == "a")]
    cells = source.read("X", np.array([int(one["row"].iloc[0])]))[0, :5]
    np.testing.assert_allclose(one["value"], cells, rtol=1e-5)
    assert one["seen"].tolist() == [1, 1, 1, 0, 0]
    hidden = table[table["seen"] == 0]
    assert (hidden["q05"] < hidden["q95"]).all()
    np.testing.assert_allclose(one["mean"].iloc[3:], cells[2], rtol=1e-4)
    assert one["mean"].iloc[:3].isna().all()
