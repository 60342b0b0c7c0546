"""What a denoiser is told of a cell is its label, condition, batch, covariates and library."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models.parts.denoiser import Denoiser


@pytest.fixture(scope="module")
def told():
    """Two cells that differ in nothing, and a denoiser."""
    obs = {name: ["a", "b", "a", "b"] for name in ("label", "condition", "batch")}
    keys = {f"{name}_key": name for name in obs}
    source = open_data(AnnData(np.ones((4, 3), np.float32), obs=obs), **keys)
    torch.manual_seed(0)
    return Denoiser(source.schema, 2, n_hidden=8, n_layers=1), next(iter(in_order(source, np.zeros(2, dtype=int))))


@pytest.mark.parametrize("field", ["condition", "batch"])
def test_the_description_follows_the_cell(told, field):
    denoiser, cells = told
    changed = replace(cells, **{field: torch.tensor([0, 1])})
    unchanged, moved = denoiser.describe(changed, cells.label, torch.zeros(2, 1))
    assert not torch.allclose(unchanged, moved)
    assert torch.equal(unchanged, denoiser.describe(cells, cells.label, torch.zeros(2, 1))[0])


def test_without_conditions_nothing_of_them_is_told(told):
    denoiser, cells = told
    hidden = replace(cells, condition=torch.tensor([-1, -1]))
    first, second = denoiser.describe(hidden, cells.label, torch.zeros(2, 1))
    assert torch.equal(first, second)
    assert not torch.allclose(first, denoiser.describe(cells, cells.label, torch.zeros(2, 1))[0])
