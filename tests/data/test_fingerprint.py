"""The fingerprint: equal for the same cells, different after any change that it looks at."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cellwright.data.fingerprint import SAMPLED_ROWS, fingerprint
from cellwright.data.open import open_data

COUNTS = np.random.default_rng(0).poisson(1.0, (200, 8)).astype(np.float32)


def cells(counts=COUNTS, form=sparse.csr_matrix):
    labels = np.where(np.arange(len(counts)) % 3 == 0, "T", "B")
    obs = pd.DataFrame({"cell_type": labels}, index=[f"c{i}" for i in range(len(counts))])
    return anndata.AnnData(form(counts), obs=obs)


def of(adata, **keys):
    return fingerprint(open_data(adata, **keys))


def test_name_shape_and_json(tmp_path):
    cells().write_h5ad(tmp_path / "pbmc.h5ad")
    record = of(tmp_path / "pbmc.h5ad")
    assert (record["name"], record["shape"]) == ("pbmc.h5ad", [200, 8])
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_matrix, sparse.csr_array], ids=["dense", "csc", "csr_array"])
def test_it_does_not_depend_on_how_the_values_are_stored(form):
    assert of(cells(form=form)) == of(cells())


@pytest.mark.parametrize("in_memory", [True, False])
def test_memory_and_disk_agree(tmp_path, in_memory):
    cells().write_h5ad(tmp_path / "memory", compression="gzip")
    (tmp_path / "memory").rename(tmp_path / "memory.h5ad")
    on_disk = of(tmp_path / "memory.h5ad", label_key="cell_type", in_memory=in_memory)
    assert on_disk | {"name": "memory"} == of(cells(), label_key="cell_type")


def test_one_changed_value_one_changed_name_and_labels_each_change_it():
    before = of(cells())
    changed = COUNTS.copy()
    changed[117, 3] += 1
    renamed = cells()
    renamed.var_names = [*renamed.var_names[:-1], "other"]
    assert of(cells(changed))["values"] != before["values"]
    assert of(cells(changed))["features"] == before["features"]
    assert of(renamed)["features"] != before["features"]
    assert of(cells(), label_key="cell_type")["values"] != before["values"]


def test_a_missing_value_is_neither_a_zero_nor_in_the_way():
    missing, zero = COUNTS.copy(), COUNTS.copy()
    missing[3, 4], zero[3, 4] = np.nan, 0
    assert of(cells(missing)) == of(cells(missing, np.asarray))
    assert of(cells(missing))["values"] != of(cells(zero))["values"]


def test_of_many_cells_the_first_and_the_last_are_among_those_sampled():
    many = np.zeros((10 * SAMPLED_ROWS, 4), np.float32)
    before = of(cells(many))
    for row in (0, len(many) - 1):
        changed = many.copy()
        changed[row, 0] = 1
        assert of(cells(changed))["values"] != before["values"]
