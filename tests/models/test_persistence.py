"""Persistence says what was last measured; its spread is tested with its errors, in parts."""

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build
from cellwright.train.fit import fit


def test_the_last_measured_value_of_each_quantity_goes_on():
    rows = np.array([[1, 10, 2, 20, 3, 30], [4, 40, 5, np.nan, np.nan, np.nan], [7, np.nan, 8, np.nan, 9, np.nan]] * 4)
    var = pd.DataFrame({"t": [0, 0, 1, 1, 2, 2], "q": ["a", "b"] * 3}, index=list("abcdef"))
    source = open_data(AnnData(rows.astype(np.float32), var=var), step_key="t", quantity_key="q")
    model = build("persistence", source.schema)
    fit(model, source, progress=False)
    with torch.no_grad():
        found = model.forecast(next(iter(in_order(source))), 2)[:3, 0].numpy()
    assert found[0].tolist() == [[3, 30]] * 2
    assert found[1].tolist() == [[5, 40]] * 2
    mean_of_training = model.grid.mean[0, 1].item()
    np.testing.assert_allclose(found[2], [[9, mean_of_training]] * 2, rtol=1e-5)
