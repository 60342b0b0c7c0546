"""What is handed out are training cells of the wanted kind, value for value."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.abilities import Wanted
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import DataError
from cellwright.models.real_cells import RealCells, RealCellsOptions
from cellwright.train.fit import fit

KEYS = {"label_key": "label", "batch_key": "batch"}


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=200, n_vars=20, n_batch=2, label_shares=(0.9, 0.1)), seed=0).adata


def fitted(adata, **options):
    data = open_data(adata, **KEYS)
    model = RealCells(data.schema, RealCellsOptions(**options))
    split = random_split(data.n_obs, validation=0, test=0.2, seed=0)
    fit(model, data, split=split, progress=False)
    return model, split


def handed_out(model, label, batch, n, seed=0):
    code = torch.zeros(n, dtype=torch.int64)
    return model.generate(Wanted(code + label, code + batch, code - 1), torch.Generator().manual_seed(seed)).numpy()


def rows(values):
    return [tuple(row) for row in np.asarray(values).tolist()]


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray], ids=["csr", "dense"])
@pytest.mark.parametrize(("label", "batch"), [(0, 1), (1, -1), (-1, 0), (-1, -1)])
def test_each_is_a_training_cell_of_its_label_and_batch(cells, form, label, batch):
    adata = AnnData(form(cells.X.toarray()), obs=cells.obs, var=cells.var)
    model, split = fitted(adata)
    obs, chosen = cells.obs.iloc[split.train], np.ones(len(split.train), bool)
    if label >= 0:
        chosen &= (obs["label"] == model.schema.label.values[label]).to_numpy()
    if batch >= 0:
        chosen &= (obs["batch"] == model.schema.batch.values[batch]).to_numpy()
    allowed = rows(cells.X[split.train[chosen]].toarray())
    # as many as there are: each is handed out once
    assert sorted(rows(handed_out(model, label, batch, len(allowed)))) == sorted(allowed)


def test_more_than_there_are_come_again_evenly(cells):
    model, _ = fitted(cells)
    n = int(model.population.label_counts[1])
    times = np.unique(handed_out(model, 1, -1, 3 * n), axis=0, return_counts=True)[1]
    assert (times == 3).all()


def test_negative_values_are_handed_out_as_they_are(cells):
    values = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    model, split = fitted(AnnData(values, obs=cells.obs, var=cells.var))
    assert set(rows(handed_out(model, -1, -1, 30))) <= set(rows(values[split.train]))


def test_of_too_many_cells_a_part_is_kept_and_rare_labels_stay(cells):
    model, split = fitted(cells, max_cells=40)
    rare = int((cells.obs["label"].iloc[split.train] == model.schema.label.values[1]).sum())
    assert len(model.kept.starts) == 41
    assert model.population.label_counts.tolist() == [160 - rare, rare]  # of all training cells
    assert len(set(rows(handed_out(model, 1, -1, 40)))) >= 2


def test_a_kind_without_training_cells_is_refused(cells):
    labels, batches = (sorted(set(cells.obs[key].astype(str))) for key in ("label", "batch"))
    adata = cells[~((cells.obs["label"] == labels[1]) & (cells.obs["batch"] == batches[0]))].copy()
    model, _ = fitted(adata)
    with pytest.raises(DataError, match=r"no training cell has label .* and batch"):
        handed_out(model, 1, 0, 3)
