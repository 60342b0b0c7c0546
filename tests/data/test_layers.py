"""Layers on disk: blocks of any size become one matrix that AnnData reads."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data import layers as module
from cellwright.data import shards
from cellwright.data.layers import write_layers


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several chunks in a shard, several shards in an array, chunks that no block ends with."""
    monkeypatch.setattr(shards, "CHUNK_VALUES", 16)
    monkeypatch.setattr(shards, "CHUNKS_PER_SHARD", 2)
    monkeypatch.setattr(module, "CHUNK_BYTES", 7 * 4 * 5)


@pytest.mark.parametrize("sizes", [[23], [1, 22], [7, 7, 9], [10, 1, 1, 11]])
def test_dense_and_sparse_layers_come_back_whatever_the_blocks(tmp_path, sizes):
    rng = np.random.default_rng(0)
    x = sparse.csr_matrix(rng.poisson(0.7, (23, 5)).astype(np.float32))
    dense, thin = rng.normal(size=(23, 5)).astype(np.float32), sparse.csr_matrix(rng.poisson(0.3, (23, 5)).astype("f4"))
    cells = AnnData(obs=pd.DataFrame({"kind": ["a"] * 23}, index=[f"c{i}" for i in range(23)]),
                    var=pd.DataFrame(index=list("vwxyz")))  # fmt: skip
    cells.uns["said"] = {"seed": 3}
    ends = np.cumsum(sizes)
    blocks = [(x[a:b], {"dense": dense[a:b], "thin": thin[a:b]}) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    write_layers(tmp_path / "out.zarr", cells, blocks, lambda done, total: None)
    found = anndata.read_zarr(tmp_path / "out.zarr")
    assert (x != found.X).nnz == 0
    assert (found.layers["thin"] != thin).nnz == 0
    assert np.array_equal(found.layers["dense"], dense)
    assert found.obs["kind"].tolist() == ["a"] * 23
    assert found.var_names.tolist() == list("vwxyz")
    assert found.uns["said"]["seed"] == 3
