"""A kind is a label under a condition; an unknown one of either stands for any."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.models.parts.kinds import kind_of, n_kinds, one_hot, pooled

N = 60


@pytest.fixture(
    params=[{}, {"label_key": "label"}, {"condition_key": "dose"}, {"label_key": "label", "condition_key": "dose"}],
    ids=["neither", "labels", "conditions", "both"],
)
def source(request):
    row = np.arange(N)
    obs = {"label": np.array(["a", "b", None])[row % 3], "dose": np.array(["0", "1", "9", None])[row % 4]}
    return open_data(AnnData(np.ones((N, 2), np.float32), obs=obs), **request.param)


def codes(source):
    return (torch.from_numpy(getattr(source.annotation, name)) for name in ("label", "condition"))


def test_kinds_of_different_labels_or_conditions_differ(source):
    label, condition = codes(source)
    kind = kind_of(source.schema, label, condition)
    pairs = torch.stack([label, condition], dim=1).unique(dim=0)
    assert len(kind.unique()) == len(pairs)
    assert 0 <= kind.min() <= kind.max() < n_kinds(source.schema)


def test_pooled_sums_are_those_of_the_cells_that_fit(source):
    schema = source.schema
    label, condition = codes(source)
    value = torch.arange(N, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0])
    sums = torch.zeros(n_kinds(schema), 2, dtype=torch.float64)
    sums.index_add_(0, kind_of(schema, label, condition), value)
    found = pooled(schema, sums)
    for a in range(-1, schema.n_labels):
        for b in range(-1, schema.n_conditions):
            fits = ((label == a) | (a < 0)) & ((condition == b) | (b < 0))
            row = found[kind_of(schema, torch.tensor([a]), torch.tensor([b]))[0]]
            torch.testing.assert_close(row, value[fits].sum(dim=0))


def test_of_an_unknown_code_nothing_is_hot():
    assert one_hot(torch.tensor([1, -1, 0]), 2).tolist() == [[0, 1], [0, 0], [1, 0]]
    assert one_hot(torch.tensor([-1]), 0).shape == (1, 0)
