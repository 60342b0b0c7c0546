"""Open, split and preprocess give cells whose choices come from training cells only."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.prepare import OpenOptions, SplitOptions, as_anndata, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split, stratified_split


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=120, n_vars=40, label_shares=(0.7, 0.2, 0.1)), seed=0).adata


def test_the_split_is_stratified_where_there_are_labels_and_random_else(cells):
    options = SplitOptions(validation=0.1, test=0.2, seed=3)
    labelled, plain = (prepare(cells, OpenOptions(label_key=key), options).split for key in ("label", None))
    codes = cells.obs["label"].cat.codes.to_numpy().astype(np.int64)
    assert np.array_equal(labelled.test, stratified_split(codes, validation=0.1, test=0.2, seed=3).test)
    assert np.array_equal(plain.test, random_split(120, validation=0.1, test=0.2, seed=3).test)


def test_as_anndata_gives_the_values_back(cells):
    again = as_anndata(prepare(cells, OpenOptions(), SplitOptions()).source)
    assert (again.X != cells.X).nnz == 0
    assert again.obs_names.tolist() == cells.obs_names.tolist()
    assert again.var_names.tolist() == cells.var_names.tolist()


def test_genes_are_those_of_the_training_cells_whatever_the_held_out_cells_hold(cells):
    changed = cells.copy()
    split = prepare(cells, OpenOptions(), SplitOptions(test=0.3)).split
    values = changed.X.toarray()
    values[split.test] = np.random.default_rng(0).poisson(50, values[split.test].shape)
    wanted = PreprocessOptions(n_top_genes=15)
    chosen = [
        prepare(AnnData(v, obs=cells.obs, var=cells.var), OpenOptions(), SplitOptions(test=0.3), wanted).source.schema
        for v in (cells.X, values)
    ]
    assert chosen[0].features == chosen[1].features
    assert chosen[0].n_vars == 15


def test_cells_that_are_filtered_leave_the_split_with_the_others_as_they_were(cells):
    emptied = cells.copy()
    values = emptied.X.toarray()
    values[[5, 17]] = 0
    adata = AnnData(values, obs=cells.obs, var=cells.var)
    whole = prepare(adata, OpenOptions(), SplitOptions(test=0.2))
    cut = prepare(adata, OpenOptions(), SplitOptions(test=0.2), PreprocessOptions(min_genes_per_cell=1))
    parts = pd.Series(whole.split.names(), index=cells.obs_names).drop(cells.obs_names[[5, 17]])
    assert cut.split.names().tolist() == parts.tolist()
    assert cut.source.annotation.obs.index.tolist() == parts.index.tolist()
    assert cut.report["cells_removed"]["min_genes_per_cell"] == 2
