"""A population lends what training cells have, of the wanted kind, and keeps rare labels."""

import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.core.abilities import Wanted
from cellwright.data.open import open_data
from cellwright.errors import DataError
from cellwright.models.parts import population as module
from cellwright.models.parts.population import Population

N = 400


@pytest.fixture(scope="module")
def data():
    """Labels a, b, c and none; c is rare and lies in batch 2 only, untreated; library and covariate name the cell."""
    row = np.arange(N)
    label = np.select([row < 8, row % 4 == 0, row % 4 == 1], ["c", "a", "b"], "")
    obs = pd.DataFrame(index=[f"cell{i}" for i in row])
    obs["label"] = pd.Categorical(np.where(label == "", None, label), categories=["a", "b", "c"])
    obs["batch"] = pd.Categorical(np.where((row % 2 == 0) | (row < 8), "2", "1"), categories=["1", "2"])
    obs["treatment"] = np.where((row % 3 == 0) & (row >= 8), "drug", "none")
    obs["depth"] = row.astype(float)
    values = np.stack([row + 1, row * 0 + 1], axis=1).astype(np.float32)
    keys = {"label_key": "label", "batch_key": "batch", "condition_key": "treatment"}
    return open_data(AnnData(values, obs=obs), covariate_keys=["depth"], **keys)


def learned(data, rows=None):
    population = Population(data.schema)
    population.learn(data, np.arange(N) if rows is None else rows, np.random.default_rng(0))
    return population


def drawn(population, label, batch, n=300, condition=-1):
    wanted = Wanted(*(torch.full((n,), code) for code in (label, batch, condition)))
    return population.draw(wanted, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("label", "batch", "condition"), [(0, -1, 0), (1, 0, 1), (2, 1, 1), (-1, 0, -1), (-1, -1, 0), (-1, -1, -1)]
)
def test_drawn_cells_have_the_wanted_label_batch_and_condition(data, label, batch, condition):
    cells, _ = drawn(learned(data), label, batch, condition=condition)
    assert label == -1 or (cells.label == label).all()
    assert batch == -1 or (cells.batch == batch).all()
    assert condition == -1 or (cells.condition == condition).all()


def test_what_is_lent_is_of_one_cell(data):
    cells, library = drawn(learned(data), -1, -1)
    lender = cells.covariates[:, 0].long()
    assert torch.equal(library[:, 0], lender.float() + 2)
    for name in ("label", "batch", "condition"):
        assert torch.equal(getattr(cells, name), torch.from_numpy(getattr(data.annotation, name))[lender])


def test_wanted_cells_of_several_kinds_keep_their_places(data):
    wanted = Wanted(torch.tensor([2, 0, 1, 0, 2]), torch.tensor([1, -1, 0, 1, -1]), torch.full((5,), -1))
    cells, _ = learned(data).draw(wanted, torch.Generator().manual_seed(0))
    assert torch.equal(cells.label, wanted.label)
    asked = wanted.batch >= 0
    assert torch.equal(cells.batch[asked], wanted.batch[asked])


def test_each_cell_lends_once_before_one_lends_twice(data):
    population = learned(data)
    n_able = int(population.label_counts[2])
    cells, _ = drawn(population, 2, -1, n=2 * n_able)
    assert (cells.covariates[:, 0].unique(return_counts=True)[1] == 2).all()


def test_drawn_cells_have_no_values(data):
    cells, _ = drawn(learned(data), 0, -1)
    assert cells.x.dense().abs().sum() == 0
    assert not cells.present.any()


def test_a_kind_that_no_training_cell_is_of_is_refused(data):
    with pytest.raises(DataError, match="no training cell has label 'c' and batch '1'"):
        drawn(learned(data), 2, 0)
    with pytest.raises(DataError, match=r"has label 'c' and treatment 'drug'\. Ask for another"):
        drawn(learned(data), 2, -1, condition=0)


def test_cells_are_counted_by_label_and_by_kind(data):
    population = learned(data, np.arange(100, 300))
    label, batch = data.annotation.label[100:300], data.annotation.batch[100:300]
    assert population.label_counts.tolist() == [(label == code).sum() for code in range(3)]
    expected = [[((label == code) & (batch == b)).sum() for b in (0, 1, -1)] for code in (0, 1, 2, -1)]
    assert population.kind_counts.sum(dim=2).tolist() == expected
    treated = data.annotation.condition[100:300] == 0
    assert population.kind_counts[0, 1, 0] == ((label == 0) & (batch == 1) & treated).sum()


def test_of_too_many_cells_a_sample_is_kept_and_rare_labels_in_it(data, monkeypatch):
    monkeypatch.setattr(module, "MAX_CELLS", 100)
    population = learned(data)
    kept = population.cells.label
    assert len(kept) == 100
    # a tenth of the room is divided among the four kinds of label, the missing one included
    assert all((kept == code).sum() >= 100 // 40 for code in range(-1, 3))
    # beyond that the sample is a random one; the counts are those of all cells
    assert population.label_counts.sum() == (data.annotation.label >= 0).sum()
    shares = [(kept == code).float().mean().item() for code in (0, 1, -1)]
    np.testing.assert_allclose(shares, [(data.annotation.label == code).mean() for code in (0, 1, -1)], atol=0.15)


def test_a_loaded_population_lends_as_the_saved_one(data):
    saved = learned(data)
    loaded = Population(data.schema)
    loaded.load_state_dict(saved.state_dict())
    (first, first_library), (second, second_library) = drawn(saved, 1, -1), drawn(loaded, 1, -1)
    assert torch.equal(first.covariates, second.covariates)
    assert torch.equal(first_library, second_library)
    assert torch.equal(saved.label_counts, loaded.label_counts)


def test_of_too_many_cells_one_of_each_kind_is_kept_where_there_is_room(data):
    """Else a label in a batch would be counted, and asked for, without a cell that could lend it."""
    row = np.arange(N)
    obs = pd.DataFrame(index=[f"cell{i}" for i in row])
    obs["label"] = row % 4
    # a batch of one cell for each label
    obs["batch"] = np.where(row < 4, "rare", "usual")
    source = open_data(AnnData(data.read("X", row), obs=obs), label_key="label", batch_key="batch")
    for seed in range(5):
        population = Population(source.schema, at_most=20)
        population.learn(source, row, np.random.default_rng(seed))
        assert len(population.cells.label) == 20
        for label, batch, _ in np.argwhere(population.kind_counts.numpy() > 0):
            drawn(population, int(label), int(batch), n=1)


def test_values_of_cells_do_not_stay_in_memory(data, monkeypatch):
    alive, seen = weakref.WeakSet(), []

    def in_order(source, rows):
        for minibatch in module_in_order(source, rows, 50):
            seen.append(len(alive))
            alive.add(minibatch)
            yield minibatch

    module_in_order = module.in_order
    monkeypatch.setattr(module, "in_order", in_order)
    learned(data)
    assert len(seen) == N // 50
    assert max(seen) <= 2
