"""Lines go on as lines; through few points, the last ones count."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build
from cellwright.train.fit import fit

TIMES = np.array([0.0, 1, 2, 4, 5, 7])


def said(rows, n_steps, hidden=0, **options):
    var = pd.DataFrame({"t": TIMES}, index=[f"t{i}" for i in range(len(TIMES))])
    source = open_data(AnnData(np.asarray(rows, dtype=np.float32), var=var), step_key="t")
    model = build("linear_extrapolation", source.schema, **options)
    fit(model, source, progress=False)
    with torch.no_grad():
        return model.forecast(next(iter(in_order(source))), n_steps, hidden)[:, 0, :, 0].numpy()


def test_a_line_goes_on_at_the_times_of_the_steps_ahead_whatever_is_missing():
    slopes = np.linspace(-3, 3, 12)[:, None]
    rows = 5 + slopes * TIMES
    rows[3:, 2] = np.nan
    np.testing.assert_allclose(said(rows, 2), 5 + slopes * [8, 9], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(said(rows, 3, hidden=2), 5 + slopes * [5, 7, 8], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_points", [2, 3, 6])
def test_it_is_the_least_squares_line_through_the_last_points(n_points):
    rows = np.random.default_rng(0).normal(size=(12, 6))
    found = said(rows, 2, n_points=n_points)
    for row, values in zip(rows, found, strict=True):
        line = np.polyfit(TIMES[-n_points:], row[-n_points:], 1)
        np.testing.assert_allclose(values, np.polyval(line, [8, 9]), rtol=1e-3, atol=1e-3)


def test_with_a_single_value_it_is_persistence():
    rows = np.random.default_rng(0).normal(size=(12, 6))
    rows[:4, 1:] = np.nan
    np.testing.assert_allclose(said(rows, 2)[:4], rows[:4, :1].repeat(2, axis=1), rtol=1e-4)
