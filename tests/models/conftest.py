"""What tests of perturbation models share: a module's `cells`, opened, in logarithms, and divided."""

import numpy as np
import pytest

from cellwright.data.open import open_data
from cellwright.data.split import held_out_combination_split


@pytest.fixture(scope="module")
def data(cells):
    """The module's `cells` as a source that knows labels and conditions."""
    return open_data(cells, label_key="label", condition_key="condition", control="control")


@pytest.fixture(scope="module")
def logs(cells):
    """Their log-normalised values, dense."""
    values = cells.X.toarray().astype(np.float64)
    return np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def split(request, data):
    """The treated cells of the module's `HELD_OUT` label are the test part."""
    cells = data.annotation
    return held_out_combination_split(cells.label, cells.condition, label=request.module.HELD_OUT, condition=1, seed=0)
